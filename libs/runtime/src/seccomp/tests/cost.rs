//! What compiling costs: `cargo test --release -p ctr-runtime cost -- --ignored --nocapture`.

use std::time::Instant;

use super::super::*;
use super::usual;

/// Returns the median of many runs, in microseconds.
fn median(mut run: impl FnMut()) -> f64 {
    let mut times: Vec<_> = (0..300)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

#[test]
#[ignore = "a measurement: it prints, and a busy machine decides"]
fn cost_of_compiling() {
    let [default, nested] = [default_profile(), nested()];
    let json = serde_json::to_vec(&default).unwrap();
    println!("default, built in    {:8.2} µs", median(|| drop(compile(&default, &usual()).unwrap())));
    println!("default, anew        {:8.2} µs", median(|| drop(compile_anew(&default, &usual()).unwrap())));
    println!("nested               {:8.2} µs", median(|| drop(compile(&nested, &usual()).unwrap())));
    println!("default, from JSON   {:8.2} µs", median(|| drop(Profile::from_json(&json).unwrap())));
}
