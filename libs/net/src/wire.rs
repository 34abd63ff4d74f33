//! Frames, read and built: IPv4 and IPv6, TCP, UDP and ICMP.

pub mod checksum;
