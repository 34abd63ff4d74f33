//! What lies between a server's write and a client's read.

use std::net::SocketAddr;

/// How many bytes were written at `server`, and not yet read at `client`: both queues, as the kernel shows them. What was read
/// and is not acknowledged counts as unread too, which on loopback is the last piece at most.
pub(super) fn unread(server: SocketAddr, client: SocketAddr) -> u64 {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the table of connections");
    queued(&table, server.port(), client.port())
}

fn queued(table: &str, server: u16, client: u16) -> u64 {
    let ends = (format!(":{server:04X}"), format!(":{client:04X}"));
    let mut bytes = 0;
    for line in table.lines().skip(1) {
        let columns: Vec<_> = line.split_whitespace().collect();
        let [_, local, remote, _, queues, ..] = columns[..] else { continue };
        let Some((sending, receiving)) = queues.split_once(':') else { continue };
        let number = |hex| u64::from_str_radix(hex, 16).unwrap_or(0);
        if local.ends_with(&ends.0) && remote.ends_with(&ends.1) {
            bytes += number(sending);
        } else if local.ends_with(&ends.1) && remote.ends_with(&ends.0) {
            bytes += number(receiving);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::queued;

    #[test]
    fn both_queues_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr\n\
            0: 0100007F:1388 0100007F:C000 01 00000010:000000FF 00:00000000\n\
            1: 0100007F:C000 0100007F:1388 01 00000100:00000002 00:00000000\n\
            2: 0100007F:1388 0100007F:C001 01 00001000:00000000 00:00000000\n";
        assert_eq!((queued(table, 5000, 0xc000), queued(table, 5000, 0xc001)), (0x12, 0x1000));
    }
}
