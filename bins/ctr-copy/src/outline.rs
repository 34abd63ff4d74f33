//! What a copy would do, for people.

use ctr_cli::human::size::human;
use ctr_store::copy::plan::{Fate, Plan};

/// A plan as lines, with what it costs at the end.
pub(crate) fn outline(plan: &Plan, from_registry: bool, to_registry: bool) -> String {
    let mut lines = Vec::new();
    let (mut bytes, mut requests) = (0, 0);
    for digest in &plan.whole {
        lines.push(format!("there     {digest}"));
    }
    for (blob, fate) in &plan.blobs {
        let size = human(blob.size);
        let (said, asked) = match fate {
            Fate::There => (format!("there     {} {size}", blob.digest), 0),
            Fate::Left => (format!("left      {} {size}", blob.digest), 0),
            Fate::Mounted(from) => (format!("mount     {} {size} from {from}", blob.digest), 1),
            Fate::Sent => (format!("write     {} {size}", blob.digest), 2),
            Fate::Packed => (format!("compress  {} {size}", blob.digest), 3),
        };
        lines.push(said);
        if to_registry {
            requests += asked;
        }
        if matches!(fate, Fate::Sent | Fate::Packed) {
            bytes += blob.size;
            requests += usize::from(from_registry);
        }
    }
    for document in &plan.documents {
        lines.push(format!("manifest  {} {}", document.digest, human(document.size)));
        bytes += document.size;
        requests += usize::from(to_registry);
    }
    lines.push(if plan.documents.is_empty() {
        "nothing to do".to_owned()
    } else {
        format!("{requests} requests, {} to transfer", human(bytes))
    });
    lines.join("\n") + "\n"
}
