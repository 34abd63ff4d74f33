use std::fs;

use super::*;
use crate::seccomp::tests::skip;

fn direct(name: &str, abi: Abi) -> Option<u32> {
    find(name).unwrap().numbers(abi).direct
}

#[test]
fn names_are_sorted_and_single() {
    for pair in TABLE.windows(2) {
        assert!(pair[0].name < pair[1].name, "{} {}", pair[0].name, pair[1].name);
    }
    assert!(MULTIPLEXED.is_sorted_by(|one, other| one.0 < other.0));
    assert!(TABLE.len() > 460, "{}", TABLE.len());
}

#[test]
fn every_abi_has_its_own_numbers() {
    assert_eq!(direct("read", Abi::Amd64), Some(0));
    assert_eq!(direct("read", Abi::I386), Some(3));
    assert_eq!(direct("read", Abi::X32), Some(X32_BIT));
    assert_eq!(direct("execve", Abi::X32), Some(X32_BIT | 520));
    assert_eq!(direct("waitpid", Abi::Amd64), None);
    assert!(find("no_such_call").is_none());
    assert!(find("breakpoint").is_none(), "another architecture's");
}

#[test]
fn socket_calls_have_two_ways_on_i386() {
    let socket = find("socket").unwrap();
    assert_eq!(socket.numbers(Abi::I386), Numbers { direct: Some(359), multiplexed: Some((102, 1)) });
    assert_eq!(socket.numbers(Abi::Amd64), Numbers { direct: Some(41), multiplexed: None });
    let send = find("send").unwrap();
    assert_eq!(send.numbers(Abi::I386), Numbers { direct: None, multiplexed: Some((102, 9)) });
    assert_eq!(send.numbers(Abi::X32), Numbers { direct: None, multiplexed: None });
}

#[test]
fn x32_numbers_of_its_own_end_where_said() {
    let last = TABLE.iter().filter(|call| call.x32 != NONE).map(|call| u32::from(call.x32)).max();
    assert_eq!(last, Some(X32_LAST));
    assert!(newest() < 512, "{}: rethink the closed range", newest());
}

/// A kernel header's `#define __NR_name number` lines.
fn defines(path: &str) -> Option<Vec<(String, u32)>> {
    let header = fs::read_to_string(path).ok()?;
    let lines = header.lines().filter_map(|line| {
        let (name, number) = line.strip_prefix("#define __NR_")?.split_once(' ')?;
        let number = number.trim_start_matches("(__X32_SYSCALL_BIT + ").trim_end_matches(')');
        Some((name.to_owned(), number.parse().ok()?))
    });
    Some(lines.collect())
}

#[test]
fn numbers_agree_with_the_kernel_headers() {
    for (file, abi) in [("64", Abi::Amd64), ("32", Abi::I386), ("x32", Abi::X32)] {
        let path = format!("/usr/include/x86_64-linux-gnu/asm/unistd_{file}.h");
        let Some(defines) = defines(&path) else {
            return skip("kernel-headers", "linux-libc-dev is not installed");
        };
        assert!(defines.len() > 300, "{path}: {}", defines.len());
        for (name, number) in defines {
            let bit = if abi == Abi::X32 { X32_BIT } else { 0 };
            assert_eq!(direct(&name, abi), Some(number | bit), "{name} of {path}");
        }
    }
}
