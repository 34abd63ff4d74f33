//! Sends frames as they are, for the tests: what a container's root can do who does not go by the kernel's rules.
//!
//! `net-probe INTERFACE HEX…`: the interface by its number, each frame with its Ethernet header.
#![forbid(unsafe_code)]

use std::error::Error;
use std::process::ExitCode;

use rustix::net::{SendFlags, send};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let said = format!("net-probe: {error}\n");
            // Nobody is told that nobody can be told.
            rustix::io::write(rustix::stdio::stderr(), said.as_bytes()).ok();
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let interface = arguments.next().ok_or("which interface?")?.parse()?;
    let socket = ctr_sys::net::options::frames(interface)?;
    for frame in arguments {
        send(&socket, &bytes(&frame)?, SendFlags::empty())?;
    }
    Ok(())
}

fn bytes(hex: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let digits: Vec<u32> =
        hex.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>().ok_or("not hexadecimal")?;
    let pairs = digits.chunks(2).map(|pair| pair.iter().fold(0, |sum, digit| sum << 4 | digit));
    Ok(pairs.map(u8::try_from).collect::<Result<_, _>>()?)
}
