//! Compares `ctr` with its peers on this machine: alternating in one run, medians, 95th percentiles and ratios.
//!
//! Started by `bench/run`, as an unprivileged user, with the release build's directory as its argument. The absolute times
//! say more of the machine than of the programs; the ratios are what is promised.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "what it measured is what it prints")]

mod copies;
mod kept;
mod load;
mod measure;
mod memory;
mod network;
mod run;
mod world;

use world::World;

/// A name to choose it by, and what it measures.
type Section = (&'static str, fn(&World));

fn main() {
    let world = World::new();
    println!("{}", world.versions());
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let sections: [Section; 19] = [
        ("version", run::version),
        ("run", run::one_at_a_time),
        ("many", run::many_at_once),
        ("memory", memory::waiting),
        ("detached", kept::start_and_exec),
        ("verbs", kept::verbs),
        ("monitor", kept::monitor),
        ("thousand", kept::thousand),
        ("follower", kept::follower),
        ("load", load::load),
        ("copies", copies::copies),
        ("set-up", network::set_up),
        ("streams", network::streams),
        ("connections", network::connections),
        ("round-trips", network::round_trips),
        ("datagrams", network::datagrams),
        ("burst", network::burst),
        ("ladder", network::ladder),
        ("ladder-published", network::ladder_published),
    ];
    for (name, section) in sections {
        if chosen.is_empty() || chosen.iter().any(|one| one == name) {
            println!("\n## {name}");
            section(&world);
        }
    }
}
