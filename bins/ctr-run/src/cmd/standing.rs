//! What is said of a network that could not be made in the best way.

use ctr_pods::network::{Lack, Missed, Standing};
use ctr_userns::remedy::Remedy;

/// In one line: what it is, why, what that costs, and what mends it.
pub(super) fn explain(standing: &Standing) -> String {
    let mend = match remedy(standing) {
        Remedy::Root(words) => format!("to mend it, as root: {}", words.join(" ")),
        other => format!("to mend it, {other}"),
    };
    format!(
        "the network is made in mode {}: {}; {}; {mend}",
        standing.rung,
        why(standing),
        standing.rung.cost(),
    )
}

/// Why the better ways are not to be had.
pub(super) fn why(Standing { missed, .. }: &Standing) -> String {
    missed.iter().map(Missed::to_string).collect::<Vec<_>>().join(", ")
}

/// What mends it.
pub(super) fn remedy(standing: &Standing) -> Remedy {
    match standing.lack() {
        Some(Lack::Settings) => {
            Remedy::Advice("give the container we run in a /proc/sys that can be written to".to_owned())
        }
        Some(Lack::Kernel) | None => modules(),
    }
}

/// What loads that of the kernel which the best way takes, if it is there to be loaded.
pub(super) fn modules() -> Remedy {
    Remedy::root(["modprobe", "-a", "veth", "nf_tables", "nft_tproxy"])
}
