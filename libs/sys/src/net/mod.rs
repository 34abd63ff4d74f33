//! Sockets as a router in user space needs them, where rustix has no word for it.
//!
//! [`options`] sets what is set once; [`datagram`] receives many datagrams by one call, with what the kernel tells beside
//! each, and sends them; [`filter`] is a classic BPF program, and [`tun`] makes a device. Addresses go in and out as the standard library's.
//!
//! # Foreign bytes
//! Control messages and addresses come from the kernel, but what is in them was chosen by whoever sent the packet. They
//! are read as bytes, each field looked for within what was received.

mod address;
pub mod datagram;
pub mod filter;
pub mod options;
pub mod tun;
