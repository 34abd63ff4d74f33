//! Images between registries and layouts, against skopeo: large and in many layers, and where nothing is to be done.

use std::cell::Cell;
use std::path::Path;
use std::process::Command;

use ctr_tests::image::{Compression, Image, Layer};
use ctr_tests::registry::real::Real;

use crate::measure::{Contender, alternate, once, print};
use crate::world::World;

const ROUNDS: usize = 20;
const LAYERS: u32 = 30;

/// Two registries of Debian's in memory, and a layout with an image.
struct Places<'a> {
    world: &'a World,
    from: Real,
    to: Real,
    /// Numbers for names that nothing has yet.
    next: Cell<u32>,
}

/// Who copies.
#[derive(Clone, Copy)]
enum Who {
    Ctr,
    Skopeo,
}

const BOTH: [(&str, Who); 2] = [("ctr", Who::Ctr), ("skopeo", Who::Skopeo)];

impl Places<'_> {
    /// Copies; both ends may be registries in the clear.
    fn copy(&self, who: Who, from: &str, to: &str) -> Command {
        let mut command = match who {
            Who::Ctr => self.world.ctr(["copy"]),
            Who::Skopeo => {
                let mut skopeo = self.world.constructed("skopeo");
                skopeo.args(["--insecure-policy", "copy"]);
                skopeo
            }
        };
        command.args(["-q", "--src-tls-verify=false", "--dest-tls-verify=false", from, to]);
        command
    }

    /// A name at a registry that nothing has.
    fn fresh(&self, at: &Real) -> String {
        self.next.set(self.next.get() + 1);
        format!("docker://{}/new/n{}:1", at.host(), self.next.get())
    }

    fn layout(&self, image: &str) -> String {
        format!("oci:{}:1", self.world.path(image).display())
    }

    fn there(&self, at: &Real, image: &str) -> String {
        format!("docker://{}/{image}:1", at.host())
    }
}

/// Copies in all directions.
#[expect(clippy::print_stdout, reason = "what it measured is what it prints")]
pub(crate) fn copies(world: &World) {
    if world.constructed("skopeo").arg("--version").output().is_err() {
        println!("skipped: no skopeo");
        return;
    }
    let places = Places { world, from: Real::plain(), to: Real::plain(), next: Cell::new(0) };
    let mut images = vec![("layers", layered())];
    if let Some(root) = std::env::var_os("CTR_BENCH_ROOT").filter(|root| Path::new(root).exists()) {
        let mut large = Image::new("1", []).compressed(Compression::Gzip);
        large.layers = vec![std::fs::read(&root).expect("the root")];
        let plain = large.clone().compressed(Compression::Plain).docker_archive();
        std::fs::write(world.path("plain.tar"), plain).expect("an archive");
        repacked(&places);
        images.push(("large", large));
    }
    for (name, image) in images {
        image.write_oci(&world.path(name));
        drop(image);
        for registry in [&places.from, &places.to] {
            once(&mut places.copy(Who::Skopeo, &places.layout(name), &places.there(registry, name)));
        }
        transfers(&places, name);
        nothing_to_do(&places, name);
    }
}

/// As many layers as an image of a large application has.
fn layered() -> Image {
    let bytes = |seed: u32| -> Vec<u8> {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[0]
        };
        (0..200_000).map(|_| next()).collect()
    };
    let layers = (0..LAYERS).map(|n| Layer::new().file(format!("f{n}"), 0o644, bytes(n + 1)));
    Image::new("1", layers).compressed(Compression::Gzip)
}

#[expect(clippy::print_stdout, reason = "what it measured is what it prints")]
fn transfers(places: &Places<'_>, name: &str) {
    let folder = places.world.path("copied");
    let back = format!("oci:{}:1", folder.display());
    let empty = || drop(std::fs::remove_dir_all(&folder));
    println!("\n{name}, registry to layout:\n");
    let one = |(title, who)| {
        let (back, empty) = (&back, &empty);
        let command = move || places.copy(who, &places.there(&places.from, name), back);
        Contender::new(title, ROUNDS, command).before(empty)
    };
    compare(&BOTH.map(one));
    println!("\n{name}, layout to registry:\n");
    let one = |(title, who)| {
        Contender::new(title, ROUNDS, move || {
            places.copy(who, &places.layout(name), &places.fresh(&places.to))
        })
    };
    compare(&BOTH.map(one));
    println!("\n{name}, registry to another registry:\n");
    let one = |(title, who)| {
        Contender::new(title, ROUNDS, move || {
            places.copy(who, &places.there(&places.from, name), &places.fresh(&places.to))
        })
    };
    compare(&BOTH.map(one));
}

/// Layers that get another packing: what an archive holds in gzip, and that in zstd.
#[expect(clippy::print_stdout, reason = "what it measured is what it prints")]
fn repacked(places: &Places<'_>) {
    let archive = format!("docker-archive:{}", places.world.path("plain.tar").display());
    let gzip = places.layout("gzip");
    once(&mut places.copy(Who::Skopeo, &archive, &gzip));
    for (title, from, format) in
        [("archive to layout in gzip", &archive, "gzip"), ("gzip to zstd", &gzip, "zstd")]
    {
        println!("\nlarge, {title}:\n");
        let one = |(title, who)| {
            let folder = places.world.path(&format!("packed-{title}"));
            let to = format!("oci:{}:1", folder.display());
            let copied = move || {
                let mut command = places.copy(who, from, &to);
                command.arg(format!("--dest-compress-format={format}"));
                command
            };
            Contender::new(title, ROUNDS / 4, copied).before(move || drop(std::fs::remove_dir_all(&folder)))
        };
        let contenders = BOTH.map(one);
        print(&alternate(&contenders));
        for contender in &contenders {
            let (seconds, peak) = contender.cost();
            println!("{}: {:.0} ms of processors, {} MiB", contender.name, seconds * 1e3, peak / 1024);
        }
        for (title, _) in BOTH {
            println!("{title}: a layer of {} bytes", largest(&places.world.path(&format!("packed-{title}"))));
        }
    }
}

/// The size of the largest blob of a layout.
fn largest(layout: &Path) -> u64 {
    let blobs = std::fs::read_dir(layout.join("blobs/sha256")).expect("blobs");
    let size =
        |blob: std::io::Result<std::fs::DirEntry>| blob.expect("a blob").metadata().expect("its size").len();
    blobs.map(size).max().unwrap_or(0)
}

#[expect(clippy::print_stdout, reason = "what it measured is what it prints")]
fn nothing_to_do(places: &Places<'_>, name: &str) {
    println!("\n{name}, there already, registry to registry:\n");
    let one = |(title, who)| {
        Contender::new(title, ROUNDS, move || {
            places.copy(who, &places.there(&places.from, name), &places.there(&places.to, name))
        })
    };
    compare(&BOTH.map(one));
}

fn compare(contenders: &[Contender<'_>]) {
    print(&alternate(contenders));
    print_cost(contenders);
}

/// Prints what processors and memory each costs, as `time` tells it.
#[expect(clippy::print_stdout, reason = "what it measured is what it prints")]
fn print_cost(contenders: &[Contender<'_>]) {
    let mut costs = vec![(Vec::new(), 0); contenders.len()];
    for _ in 0..ROUNDS {
        for (contender, (seconds, peak)) in contenders.iter().zip(&mut costs) {
            let (cost, memory) = contender.cost();
            seconds.push(cost);
            *peak = memory.max(*peak);
        }
    }
    for (contender, (seconds, peak)) in contenders.iter().zip(&costs) {
        let all: f64 = seconds.iter().sum();
        println!(
            "{}: {:.0} ms of processors each, at most {} MiB",
            contender.name,
            all * 1e3 / seconds.len() as f64,
            peak / 1024
        );
    }
}
