//! Arrows only go down, and no async runtime is under a program that clones.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::source::{members, metadata};

/// What each member may use of the others, in its own code.
const ALLOWED: &[(&str, &[&str])] = &[
    ("ctr-sys", &[]),
    ("ctr-core", &["ctr-sys"]),
    ("ctr-userns", &["ctr-core", "ctr-sys"]),
    ("ctr-store", &["ctr-userns", "ctr-core", "ctr-sys"]),
    ("ctr-runtime", &["ctr-userns", "ctr-core", "ctr-sys"]),
    ("ctr-net", &["ctr-core", "ctr-sys"]),
    ("ctr-registry", &["ctr-store", "ctr-core", "ctr-sys"]),
    ("ctr-pods", &["ctr-net", "ctr-store", "ctr-runtime", "ctr-userns", "ctr-core", "ctr-sys"]),
    ("ctr-cli", &["ctr-core"]),
    ("ctr-views", &["ctr-cli", "ctr-store", "ctr-core"]),
    ("ctr-init", &["ctr-sys"]),
    (
        "ctr-run",
        &[
            "ctr-cli",
            "ctr-views",
            "ctr-pods",
            "ctr-net",
            "ctr-store",
            "ctr-runtime",
            "ctr-userns",
            "ctr-core",
            "ctr-sys",
        ],
    ),
    ("ctr-copy", &["ctr-cli", "ctr-views", "ctr-registry", "ctr-store", "ctr-userns", "ctr-core", "ctr-sys"]),
];

/// What is not shipped may use what it likes.
const NOT_SHIPPED: &[&str] = &["ctr-tests", "ctr-bench"];

/// What must not be linked into anything that clones: runtimes and thread pools.
const NO_THREADS: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "hyper",
    "reqwest",
    "rayon",
    "rayon-core",
    "crossbeam",
    "crossbeam-channel",
];

/// Nor may TLS be in what runs containers. The program for images talks to registries, on the thread that asks.
const NO_TLS: &str = "rustls";

/// Direct dependencies of each package by name, dev-dependencies left out.
fn graph(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let packages = metadata["packages"].as_array().expect("packages");
    let name = |id: &Value| -> String {
        let package = packages.iter().find(|package| package["id"] == *id).expect("a package");
        package["name"].as_str().expect("a name").to_owned()
    };
    let shipped =
        |dep: &&Value| dep["dep_kinds"].as_array().expect("kinds").iter().any(|kind| kind["kind"].is_null());
    let nodes = metadata["resolve"]["nodes"].as_array().expect("nodes");
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for node in nodes {
        let deps = node["deps"].as_array().expect("deps").iter().filter(shipped).map(|dep| name(&dep["pkg"]));
        graph.entry(name(&node["id"])).or_default().extend(deps);
    }
    graph
}

fn closure<'a>(graph: &'a BTreeMap<String, BTreeSet<String>>, root: &'a str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut todo = vec![root];
    while let Some(name) = todo.pop() {
        if seen.insert(name) {
            todo.extend(graph[name].iter().map(String::as_str));
        }
    }
    seen
}

#[test]
fn arrows_only_go_down() {
    let graph = graph(&metadata());
    let members = members();
    let mut wrong = Vec::new();
    for name in members.keys().filter(|name| !NOT_SHIPPED.contains(&name.as_str())) {
        let Some((_, allowed)) = ALLOWED.iter().find(|(member, _)| member == name) else {
            wrong.push(format!("{name} has no place among the layers: give it one"));
            continue;
        };
        for dep in graph[name].iter().filter(|dep| members.contains_key(*dep)) {
            if !allowed.contains(&dep.as_str()) {
                wrong.push(format!("{name} uses {dep}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn nothing_that_clones_links_a_runtime_or_a_pool() {
    let graph = graph(&metadata());
    for program in ["ctr-run", "ctr-copy", "ctr-init"] {
        let linked = closure(&graph, program);
        let found: Vec<_> = NO_THREADS.iter().filter(|banned| linked.contains(*banned)).collect();
        assert!(found.is_empty(), "{program} links {found:?}");
    }
}

#[test]
fn nothing_that_runs_containers_links_tls() {
    let graph = graph(&metadata());
    for program in ["ctr-run", "ctr-init"] {
        assert!(!closure(&graph, program).contains(NO_TLS), "{program} links {NO_TLS}");
    }
    assert!(closure(&graph, "ctr-copy").contains(NO_TLS), "the walk over the graph finds nothing");
}

#[test]
fn the_closure_sees_what_is_deep() {
    let graph = graph(&metadata());
    assert!(closure(&graph, "ctr-run").contains("rustix"), "the walk over the graph finds nothing");
}
