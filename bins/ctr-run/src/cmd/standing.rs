//! What is said of a network that could not be made in the best way.

use ctr_pods::network::{Missed, Standing};

/// In one line: what it is, why, what that costs, and what mends it.
pub(super) fn explain(standing: &Standing) -> String {
    format!(
        "the network is made in mode {}: {}; {}; to mend it, as root: {}",
        standing.rung,
        why(standing),
        standing.rung.cost(),
        MEND.join(" ")
    )
}

/// Why the better ways are not to be had.
pub(super) fn why(Standing { missed, .. }: &Standing) -> String {
    missed.iter().map(Missed::to_string).collect::<Vec<_>>().join(", ")
}

/// What loads that of the kernel which the best way takes, if it is there to be loaded.
pub(super) const MEND: [&str; 5] = ["modprobe", "-a", "veth", "nf_tables", "nft_tproxy"];
