//! `ctr load` of a large image against one thread that inflates and hashes it, and against podman.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use ctr_tests::image::{Compression, Image};
use sha2::{Digest as _, Sha256};

use crate::measure::once;
use crate::world::World;

const NAME: &str = "localhost/large:latest";
const ROUNDS: usize = 5;

/// Loads, removes, and loads again; and runs the image with keep-id for the first time.
#[expect(clippy::print_stdout, reason = "what it measured is what it prints")]
pub(crate) fn load(world: &World) {
    let Some(root) = std::env::var_os("CTR_BENCH_ROOT").filter(|root| Path::new(root).exists()) else {
        println!("skipped: no large root (bench/run makes one as root)");
        return;
    };
    let tar = std::fs::read(&root).expect("the root");
    let size = tar.len() / 1_000_000;
    let mut image = Image::new(NAME, []).compressed(Compression::Gzip);
    image.layers = vec![tar];
    let archive = world.path("large.tar");
    std::fs::write(&archive, image.oci_archive()).expect("a file");
    drop(image);

    // Alternating; and each begins with a disk that has nothing left to write of the one before.
    let (mut floor, mut ours, mut theirs, mut peak) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for round in 0..ROUNDS {
        rustix::fs::sync();
        floor.push(inflate_and_hash(&archive));
        rustix::fs::sync();
        let (took, largest) = timed_load(world, &archive);
        ours.push(took);
        peak = peak.max(largest);
        once(&mut world.ctr(["rmi", NAME]));
        once(&mut world.ctr(["system", "gc"]));
        if world.has_podman() && round % 2 == 0 {
            rustix::fs::sync();
            theirs.push(once(world.podman(["load", "-q", "-i"]).arg(&archive)).as_secs_f64());
            once(&mut world.podman(["rmi", "-f", NAME]));
        }
    }
    let (floor, ours) = (median(&mut floor), median(&mut ours));
    println!(
        "a root of {size} MB in gzip: ctr load {ours:.2} s, one thread inflating and hashing {floor:.2} s: {:.2}",
        ours / floor
    );
    println!("largest process of ctr load: {} MiB", peak / 1024);
    if !theirs.is_empty() {
        let theirs = median(&mut theirs);
        println!("podman load {theirs:.2} s: {:.1} times ctr's", theirs / ours);
    }
    keep_id(world, &archive);
}

/// Returns how long a load took, and the memory of its largest process in KiB.
fn timed_load(world: &World, archive: &Path) -> (f64, u64) {
    let report = world.path("peak");
    let mut load = Command::new("time");
    let ctr = world.ctr(["load", "-q", "-i"]);
    load.args(["-f", "%M", "-o"]).arg(&report).arg(ctr.get_program()).args(ctr.get_args()).arg(archive);
    load.env_clear().envs(ctr.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let took = once(&mut load).as_secs_f64();
    let largest = std::fs::read_to_string(&report).expect("a report").trim().parse().expect("a number");
    (took, largest)
}

/// The first run under an id map, which has to make trees with other owners; each round has a map of its own.
#[expect(clippy::print_stdout, reason = "what it measured is what it prints")]
fn keep_id(world: &World, archive: &Path) {
    once(world.ctr(["load", "-q", "-i"]).arg(archive));
    rustix::fs::sync();
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let userns = format!("keep-id:uid={}", 2000 + round);
        let run = || world.ctr(["run", "--rm", "--network", "none", "--userns", &userns, NAME, "true"]);
        first.push(once(&mut run()).as_secs_f64());
        again.push(once(&mut run()).as_secs_f64());
    }
    println!("keep-id of it: {:.3} s the first time, {:.4} s again", median(&mut first), median(&mut again));
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Reads the archive's largest blob through gzip into a hash, in one thread.
fn inflate_and_hash(archive: &Path) -> f64 {
    let start = Instant::now();
    let mut file =
        std::io::BufReader::with_capacity(1 << 20, std::fs::File::open(archive).expect("the archive"));
    let mut header = [0; 512];
    loop {
        file.read_exact(&mut header).expect("an entry");
        let size = std::str::from_utf8(&header[124..135]).expect("a size in octal");
        let size = u64::from_str_radix(size, 8).expect("a size in octal");
        let padded = size.next_multiple_of(512);
        if size > 1_000_000 {
            let mut inflated = flate2::read::GzDecoder::new(file.by_ref().take(size));
            let mut hash = Sha256::new();
            let mut buffer = vec![0; 1 << 18];
            loop {
                match inflated.read(&mut buffer).expect("gzip") {
                    0 => break,
                    read => hash.write_all(&buffer[..read]).expect("a hash"),
                }
            }
            std::hint::black_box(hash.finalize());
            return start.elapsed().as_secs_f64();
        }
        std::io::copy(&mut file.by_ref().take(padded), &mut std::io::sink()).expect("an entry");
    }
}
