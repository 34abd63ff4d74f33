//! The verbs of containers that outlive their command, broken at each of their points.
//!
//! strace ends when everything has that the command started: a monitor or an init that were left behind would be seen by the
//! deadline that passes.

use ctr_tests::Env;

use crate::broken::{Beside, Case, image};

const IMAGE: &str = "localhost/first:1";

fn load(env: &Env) {
    env.load(&image(IMAGE, "first"));
    // The folders that the first container and the first volume make stay.
    let _id = env.ok(["create", "--name", "first", "--network", "none", "-v", "first:/data", IMAGE]);
    let _id = env.ok(["rm", "first"]);
    let _name = env.ok(["volume", "rm", "first"]);
}

/// Makes a container called web, with a volume.
fn create(env: &Env, command: &[&str]) {
    load(env);
    let words = ["create", "--name", "web", "--network", "none", "-v", "data:/data", IMAGE];
    let _id = env.ok(words.iter().chain(command));
}

fn waiting(env: &Env) {
    create(env, &["sleep", "1000"]);
}

fn case(name: &'static str, prepare: fn(&Env), command: &'static [&'static str]) -> Case<fn(&Env)> {
    Case { name, prepare, command, beside: None, undo: &[], stride: 13 }
}

#[test]
fn creating() {
    ctr_tests::needs!(Strace);
    let command =
        &["create", "--name", "web", "--network", "none", "-v", "data:/data", "localhost/first:1", "true"];
    Case { stride: 4, ..case("create", load, command) }.breaks();
}

#[test]
fn running_detached() {
    ctr_tests::needs!(Strace);
    let command =
        &["run", "-d", "--name", "web", "--network", "none", "-v", "data:/data", "localhost/first:1", "true"];
    case("run -d", load, command).breaks();
}

#[test]
fn starting() {
    ctr_tests::needs!(Strace);
    case("start", |env| create(env, &["true"]), &["start", "web"]).breaks();
}

#[test]
fn starting_what_is_initialized() {
    ctr_tests::needs!(Strace);
    let beside = Some(Beside::Initialized("web"));
    Case { beside, stride: 2, ..case("start after init", waiting, &["start", "web"]) }.breaks();
}

#[test]
fn stopping() {
    ctr_tests::needs!(Strace);
    let beside = Some(Beside::Prey("web"));
    Case { beside, stride: 2, ..case("stop", waiting, &["stop", "-t", "0", "web"]) }.breaks();
}

#[test]
fn removing() {
    ctr_tests::needs!(Strace);
    let prepare = |env: &Env| {
        create(env, &["true"]);
        let _output = env.ok(["start", "--attach", "web"]);
    };
    case("rm", prepare, &["rm", "web"]).breaks();
}

#[test]
fn removing_by_force() {
    ctr_tests::needs!(Strace);
    let beside = Some(Beside::Prey("web"));
    Case { beside, ..case("rm -f", waiting, &["rm", "-f", "-t", "0", "web"]) }.breaks();
}

#[test]
fn entering() {
    ctr_tests::needs!(Strace);
    let beside = Some(Beside::Spared("web"));
    Case { beside, ..case("exec", waiting, &["exec", "web", "true"]) }.breaks();
}

#[test]
fn removing_a_volume() {
    ctr_tests::needs!(Strace);
    let prepare = |env: &Env| {
        load(env);
        let words = ["run", "--rm", "--network", "none", "-v", "data:/home", IMAGE, "true"];
        let _output = env.ok(words);
    };
    case("volume rm", prepare, &["volume", "rm", "data"]).breaks();
}

#[test]
fn committing() {
    ctr_tests::needs!(Strace);
    let prepare = |env: &Env| {
        create(env, &["true"]);
        let _output = env.ok(["start", "--attach", "web"]);
    };
    let undo = &["rmi", "localhost/second:1"];
    Case { undo, ..case("commit", prepare, &["commit", "-q", "web", "localhost/second:1"]) }.breaks();
}
