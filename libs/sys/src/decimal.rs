//! Numbers as text, without a formatter.

/// The most digits of a 64 bit number.
pub const DIGITS: usize = 20;

/// The decimal digits of a number, at the end of a buffer.
#[must_use]
pub fn digits(mut number: u64, buffer: &mut [u8; DIGITS]) -> &[u8] {
    let mut at = DIGITS;
    loop {
        at -= 1;
        let digit = (number % 10) as u8;
        buffer[at] = b'0' + digit;
        number /= 10;
        if number == 0 || at == 0 {
            return &buffer[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_write_them() {
        assert_eq!(digits(0, &mut [0; DIGITS]), b"0");
        assert_eq!(digits(1_234_567_890, &mut [0; DIGITS]), b"1234567890");
        assert_eq!(digits(u64::MAX, &mut [0; DIGITS]), b"18446744073709551615");
    }
}
