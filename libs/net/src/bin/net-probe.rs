//! What containers do in the tests.
//!
//! `net-probe INTERFACE HEX…` sends frames as they are, as a container's root can who does not go by the kernel's rules: the
//! interface by its number, each frame with its Ethernet header. `net-probe hold ADDRESS` connects, sends back what it hears, and
//! says how that ended.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
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
    let first = arguments.next().ok_or("which interface?")?;
    if first == "hold" {
        return hold(&arguments.next().ok_or("whom?")?);
    }
    let interface = first.parse()?;
    let socket = ctr_sys::net::options::frames(interface)?;
    for frame in arguments {
        send(&socket, &bytes(&frame)?, SendFlags::empty())?;
    }
    Ok(())
}

fn hold(address: &str) -> Result<(), Box<dyn Error>> {
    let mut stream = TcpStream::connect(address)?;
    let mut room = [0; 1024];
    let end = loop {
        match stream.read(&mut room) {
            Ok(0) => break "end\n".to_owned(),
            Ok(length) => stream.write_all(room.get(..length).unwrap_or_default())?,
            Err(error) => break format!("{}\n", error.kind()),
        }
    };
    rustix::io::write(rustix::stdio::stdout(), end.as_bytes())?;
    Ok(())
}

fn bytes(hex: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let digits: Vec<u32> =
        hex.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>().ok_or("not hexadecimal")?;
    let pairs = digits.chunks(2).map(|pair| pair.iter().fold(0, |sum, digit| sum << 4 | digit));
    Ok(pairs.map(u8::try_from).collect::<Result<_, _>>()?)
}
