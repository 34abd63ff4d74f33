//! Filters of packets, as messages: one table with one chain, and rules of a few kinds of conditions.

use std::net::IpAddr;

use super::{APPEND, Attributes, Batch, CREATE};
use crate::address::Prefix;

/// What a rule asks before it does something. All must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum If {
    /// It came in by the interface of this number.
    CameBy(u32),
    /// It has this mark.
    Marked(u32),
    /// It is IPv4, or IPv6.
    Version(Version),
    /// Its transport has this number.
    Transport(u8),
    /// Where its sender is.
    Source(Within),
    /// Where its receiver is.
    Destination(Within),
    /// Its transport's bytes at an offset are these, or with a mask.
    Byte { at: u32, mask: u8, is: u8 },
    /// It goes to this port.
    Port(u16),
}

/// The protocol below the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V4,
    V6,
}

/// Where an address must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Within {
    Inside(Prefix),
    Outside(Prefix),
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// It is thrown away.
    Drop,
    /// It goes on.
    Accept,
    /// It goes to the socket that listens on a port of ours, whatever its own destination is.
    Divert(Version, u16),
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) conditions: Vec<If>,
    pub(crate) then: Then,
}

const TABLE: &str = "ctr";
const CHAIN: &str = "in";

/// `NFPROTO_INET`.
const INET: u8 = 1;
/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10;

// Kinds of messages.
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const NEW_CHAIN: u16 = (SUBSYSTEM << 8) | 3;
const NEW_RULE: u16 = (SUBSYSTEM << 8) | 6;

/// Where verdicts go, and where everything else does.
const VERDICT: u32 = 0;
const REGISTER: u32 = 1;

/// A table whose one chain sees what comes in before it is routed.
pub(crate) fn table(rules: &[Rule]) -> Batch {
    let mut batch = Batch::default();
    let [high, low] = SUBSYSTEM.to_be_bytes();
    batch.tell(BATCH_BEGIN, &[0, 0, high, low]);
    batch.ask("make a table of filters", NEW_TABLE, CREATE, &[INET, 0, 0, 0], |with| {
        with.put_text(1, TABLE);
    });
    batch.ask("make a chain of filters", NEW_CHAIN, CREATE, &[INET, 0, 0, 0], |with| {
        /// Where `mangle` is: before routes are looked up.
        const PRIORITY: i32 = -150;
        with.put_text(1, TABLE).put_text(3, CHAIN).put_text(7, "filter").nest(4, |hook| {
            // NF_INET_PRE_ROUTING.
            hook.put(1, &0_u32.to_be_bytes()).put(2, &PRIORITY.to_be_bytes());
        });
    });
    for rule in rules {
        let doing = match rule.then {
            Then::Divert(..) => "divert packets to a proxy (tproxy)",
            Then::Drop | Then::Accept => "add a filter",
        };
        batch.ask(doing, NEW_RULE, CREATE | APPEND, &[INET, 0, 0, 0], |with| {
            with.put_text(1, TABLE).put_text(2, CHAIN).nest(4, |list| rule.put(list));
        });
    }
    batch.tell(BATCH_END, &[0, 0, high, low]);
    batch
}

impl Rule {
    fn put(&self, list: &mut Attributes<'_>) {
        for condition in &self.conditions {
            condition.put(list);
        }
        self.then.put(list);
    }
}

impl If {
    fn put(self, list: &mut Attributes<'_>) {
        match self {
            // Numbers of the kernel's own are in its byte order.
            Self::CameBy(index) => equal(meta(list, 4), &index.to_ne_bytes()),
            Self::Marked(mark) => equal(meta(list, 3), &mark.to_ne_bytes()),
            Self::Version(version) => equal(meta(list, 15), &[version.number()]),
            Self::Transport(number) => equal(meta(list, 16), &[number]),
            Self::Source(within) => within.put(list, 12, 8),
            Self::Destination(within) => within.put(list, 16, 24),
            Self::Byte { at, mask, is } => {
                payload(list, Header::Transport, at, 1);
                masked(list, &[mask]);
                equal(list, &[is]);
            }
            Self::Port(port) => equal(payload(list, Header::Transport, 2, 2), &port.to_be_bytes()),
        }
    }
}

impl Within {
    fn put(self, list: &mut Attributes<'_>, at_v4: u32, at_v6: u32) {
        let (Self::Inside(prefix) | Self::Outside(prefix)) = self;
        let (at, bytes) = match prefix.address() {
            IpAddr::V4(v4) => (at_v4, v4.octets().to_vec()),
            IpAddr::V6(v6) => (at_v6, v6.octets().to_vec()),
        };
        payload(list, Header::Network, at, u32::try_from(bytes.len()).unwrap_or_default());
        masked(list, &mask(prefix.length(), bytes.len()));
        compare(list, u32::from(matches!(self, Self::Outside(_))), &bytes);
    }
}

impl Then {
    fn put(self, list: &mut Attributes<'_>) {
        match self {
            Self::Drop => verdict(list, 0),
            Self::Accept => verdict(list, 1),
            Self::Divert(version, port) => {
                expression(list, "immediate", |with| {
                    with.put(1, &REGISTER.to_be_bytes()).nest(2, |data| {
                        data.put(1, &port.to_be_bytes());
                    });
                });
                expression(list, "tproxy", |with| {
                    let family = u32::from(version.number());
                    with.put(1, &family.to_be_bytes()).put(3, &REGISTER.to_be_bytes());
                });
                verdict(list, 1);
            }
        }
    }
}

impl Version {
    /// `NFPROTO_IPV4` or `NFPROTO_IPV6`.
    const fn number(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }
}

/// Where bytes are counted from.
#[derive(Clone, Copy)]
enum Header {
    Network,
    Transport,
}

fn expression(list: &mut Attributes<'_>, name: &str, fill: impl FnOnce(&mut Attributes<'_>)) {
    list.nest(1, |element| {
        element.put_text(1, name).nest(2, fill);
    });
}

fn meta<'a, 'b>(list: &'a mut Attributes<'b>, key: u32) -> &'a mut Attributes<'b> {
    expression(list, "meta", |with| {
        with.put(1, &REGISTER.to_be_bytes()).put(2, &key.to_be_bytes());
    });
    list
}

fn payload<'a, 'b>(
    list: &'a mut Attributes<'b>,
    header: Header,
    at: u32,
    length: u32,
) -> &'a mut Attributes<'b> {
    let base: u32 = match header {
        Header::Network => 1,
        Header::Transport => 2,
    };
    expression(list, "payload", |with| {
        with.put(1, &REGISTER.to_be_bytes())
            .put(2, &base.to_be_bytes())
            .put(3, &at.to_be_bytes())
            .put(4, &length.to_be_bytes());
    });
    list
}

fn masked(list: &mut Attributes<'_>, mask: &[u8]) {
    if mask.iter().all(|byte| *byte == 0xff) {
        return;
    }
    let length = u32::try_from(mask.len()).unwrap_or_default();
    expression(list, "bitwise", |with| {
        with.put(1, &REGISTER.to_be_bytes()).put(2, &REGISTER.to_be_bytes()).put(3, &length.to_be_bytes());
        with.nest(4, |data| {
            data.put(1, mask);
        });
        with.nest(5, |data| {
            data.put(1, &vec![0; mask.len()]);
        });
    });
}

fn equal(list: &mut Attributes<'_>, value: &[u8]) {
    compare(list, 0, value);
}

/// 0 for equal, 1 for not.
fn compare(list: &mut Attributes<'_>, how: u32, value: &[u8]) {
    expression(list, "cmp", |with| {
        with.put(1, &REGISTER.to_be_bytes()).put(2, &how.to_be_bytes()).nest(3, |data| {
            data.put(1, value);
        });
    });
}

fn verdict(list: &mut Attributes<'_>, code: u32) {
    expression(list, "immediate", |with| {
        with.put(1, &VERDICT.to_be_bytes()).nest(2, |data| {
            data.nest(2, |verdict| {
                verdict.put(1, &code.to_be_bytes());
            });
        });
    });
}

fn mask(prefix: u8, length: usize) -> Vec<u8> {
    let bits = |at: usize| usize::from(prefix).saturating_sub(at * 8).min(8);
    (0..length).map(|at| u8::try_from(0xff00_u32 >> bits(at) & 0xff).unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;
    use crate::netlink::Netlink;
    use crate::router::RouterError;

    #[test]
    fn masks_are_of_any_length() {
        assert_eq!(mask(24, 4), [255, 255, 255, 0]);
        assert_eq!(mask(10, 4), [255, 192, 0, 0]);
        assert_eq!(mask(0, 4), [0; 4]);
        assert_eq!(mask(128, 16), [255; 16]);
        assert_eq!(mask(64, 16)[7..9], [255, 0]);
    }

    /// A rule that takes what this kernel has not.
    fn unknown() -> Batch {
        let mut batch = table(&[]);
        let end = batch.bytes.len() - 20;
        batch.bytes.truncate(end);
        batch.doing.pop();
        batch.ask("divert packets somehow", NEW_RULE, CREATE | APPEND, &[INET, 0, 0, 0], |with| {
            with.put_text(1, TABLE).put_text(2, CHAIN).nest(4, |list| expression(list, "ctr-none", |_| {}));
        });
        let [high, low] = SUBSYSTEM.to_be_bytes();
        batch.tell(BATCH_END, &[0, 0, high, low]);
        batch
    }

    #[test]
    fn what_a_kernel_has_not_is_a_lack() {
        const CHILD: &str = "CTR_NET_NFT";
        if std::env::var_os(CHILD).is_some() {
            let kernel = Netlink::netfilter().unwrap();
            let error = kernel.perform(&unknown()).unwrap_err();
            assert_eq!((error.doing, error.source), ("divert packets somehow", Errno::NOENT));
            assert!(RouterError::from(error).is_lack());
            // The next that is tried begins where this one did.
            let known = Rule { conditions: vec![If::Transport(17)], then: Then::Drop };
            return Netlink::netfilter().unwrap().perform(&table(&[known])).unwrap();
        }
        // A network namespace of its own, which a process of several threads cannot make for itself.
        let mut child = std::process::Command::new("unshare");
        child.args(["-U", "-r", "-n"]).arg(std::env::current_exe().unwrap());
        let name = "netlink::nft::tests::what_a_kernel_has_not_is_a_lack";
        let output = child.args(["--exact", name]).env(CHILD, "").output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}
