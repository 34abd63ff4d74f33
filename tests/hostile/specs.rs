//! Mount specifications with commas, `..`, magic links and worse.

use std::os::unix::fs::symlink;

use ctr_tests::needs;

use crate::canary::{World, bind, shared};

#[test]
fn mount_specifications_that_mean_two_things_are_refused() {
    needs!(Userns);
    let world = World::new();
    let data = shared(&world, "data");
    for flag in [
        "--mount=type=bind,src=HOST",
        "--mount=type=bind,dst=/x",
        "--mount=type=bind,src=HOST,dst=x",
        "--mount=type=bind,src=HOST,dst=../x",
        "--mount=type=bind,src=HOST,dst=",
        "--mount=type=bind,src=,dst=/x",
        "--mount=type=bind,src=HOST,dst=/x,bind-propagation=rprivate\\,shared",
        "--mount=type=bind,src=HOST,dst=/x,bind-propagation=shared,exec\n",
        "--mount=type=bind,\"src=HOST,dst=/x",
        "--mount=type=nothing,dst=/x",
        "--mount=type=bind,src=HOST,dst=/x,=y",
        "--mount=type=tmpfs,dst=/x,tmpfs-size=1m;uid=0",
        "--mount=type=tmpfs,dst=/x,src=/etc",
        "--mount=",
        "--mount=,,,",
        "--volume=HOST:/x:ro:rw:extra",
        "--volume=HOST:x",
        "--volume=HOST:../x",
        "--volume=HOST::",
        "--volume=:/x",
        "--volume=:",
        "--volume=HOST:/x:ro,rw",
        "--volume=HOST:/x:size=1",
        "--volume=HOST/nothing:/x",
        "--tmpfs=x",
        "--tmpfs=../x",
        "--tmpfs=/x:lowerdir=/",
        "--tmpfs=/x:size=1m,exec\u{1b}",
        "--device=/dev/null:x:rwm:y",
    ] {
        let flag = flag.replace("HOST", &data.display().to_string());
        let line = world.refuses(world.plain([&flag], "true"));
        assert!(line.len() > "Error: ".len(), "{flag}: {line}");
    }
}

/// What can be meant in one way only is what it is: commas in names, and `..` that ends at the root.
#[test]
fn odd_names_are_names() {
    needs!(Userns);
    let world = World::new();
    let odd = shared(&world, "a,b \"c'=");
    std::fs::write(odd.join("file"), "odd").expect("a file");
    let spec = format!("--mount=type=bind,\"src={}\",dst=/x", odd.display().to_string().replace('"', "\"\""));
    assert_eq!(world.survives(world.plain([&spec], "cat /x/file")).success(), "odd");
    let volume = bind(&odd, "/../../y/../x,z");
    assert_eq!(world.survives(world.plain(["-v", &volume], "cat '/x,z/file'")).success(), "odd");
}

/// A source is the caller's own path: links in it are the caller's, and what is gone is said.
#[test]
fn sources_that_lead_nowhere_are_said() {
    needs!(Userns);
    let world = World::new();
    let data = shared(&world, "data");
    symlink("loop", data.join("loop")).expect("a link");
    symlink("nothing", data.join("dangling")).expect("a link");
    for source in ["loop", "dangling", "dangling/x", "loop/../.."] {
        let line = world.refuses(world.plain(["-v", &bind(&data.join(source), "/x")], "true"));
        assert!(line.contains(source), "{source}: {line}");
    }
    for source in ["/proc/self/fd/99", "/proc/self/exe/x", "/proc/1/root/x"] {
        let line = world.refuses(world.plain(["-v", &bind(source.as_ref(), "/x")], "true"));
        assert!(line.contains(source), "{source}: {line}");
    }
}
