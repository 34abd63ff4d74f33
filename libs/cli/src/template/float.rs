//! Numbers with a fraction, as Go's `strconv.AppendFloat` writes them.

use crate::text::Put as _;

/// Digits and the place of the point: 0.digits * 10^point.
struct Decimal {
    digits: String,
    point: i32,
}

impl Decimal {
    /// From Rust's `1.2345e6`.
    fn of(scientific: &str) -> Self {
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
        let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
        let exponent: i32 = exponent.parse().unwrap_or(0);
        if digits.bytes().all(|digit| digit == b'0') {
            return Self { digits: String::new(), point: 0 };
        }
        Self { digits, point: exponent.saturating_add(1) }
    }

    fn without_zeros(mut self) -> Self {
        self.digits.truncate(self.digits.trim_end_matches('0').len());
        self
    }

    fn digit(&self, index: i32) -> char {
        let index = usize::try_from(index).ok();
        index.and_then(|index| self.digits.as_bytes().get(index)).map_or('0', |digit| char::from(*digit))
    }
}

/// Formats a number. `verb` is one of `e E f g G b x X`; no precision asks for as many digits as tell it apart.
pub(super) fn format(number: f64, verb: char, precision: Option<usize>) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    let sign = if number.is_sign_negative() { "-" } else { "" };
    let size = number.abs();
    if size.is_infinite() {
        return if sign.is_empty() { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    let body = match verb {
        'e' | 'E' => exponent(size, precision, verb),
        'f' => fixed(size, precision),
        'b' => binary(size),
        'x' | 'X' => hexadecimal(size, precision, verb),
        _ => general(size, precision, if verb == 'G' { 'E' } else { 'e' }),
    };
    format!("{sign}{body}")
}

/// As JSON has it: no exponent from 1e-6 up to 1e21.
pub(crate) fn json(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        // `1e-07` becomes `1e-7`.
        return format(number, 'e', None).replace("e-0", "e-");
    }
    format(number, 'f', None)
}

fn exponent(size: f64, precision: Option<usize>, letter: char) -> String {
    let scientific = match precision {
        Some(digits) => format!("{size:.digits$e}"),
        None => format!("{size:e}"),
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{mantissa}{letter}{sign}{exponent:0>2}")
}

fn fixed(size: f64, precision: Option<usize>) -> String {
    match precision {
        Some(digits) => format!("{size:.digits$}"),
        None => format!("{size}"),
    }
}

/// `%g`: an exponent where it is large or small, no zeros at the end.
fn general(size: f64, precision: Option<usize>, letter: char) -> String {
    let (decimal, limit) = match precision {
        None => (Decimal::of(&format!("{size:e}")), 6),
        Some(precision) => {
            let precision = precision.max(1);
            let decimal = Decimal::of(&format!("{size:.0$e}", precision - 1));
            let limit = i32::try_from(precision).unwrap_or(i32::MAX);
            (decimal, limit)
        }
    };
    let decimal = decimal.without_zeros();
    let count = i32::try_from(decimal.digits.len()).unwrap_or(i32::MAX);
    let limit = if precision.is_some() && limit > count && count >= decimal.point { count } else { limit };
    let exponent = if count == 0 { 0 } else { decimal.point - 1 };
    if exponent < -4 || exponent >= limit {
        return scientific(&decimal, exponent, letter);
    }
    plain(&decimal, count)
}

fn scientific(decimal: &Decimal, exponent: i32, letter: char) -> String {
    let mut text = String::from(decimal.digit(0));
    if decimal.digits.len() > 1 {
        text.put(format_args!(".{}", &decimal.digits[1..]));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    text.put(format_args!("{letter}{sign}{:02}", exponent.unsigned_abs()));
    text
}

fn plain(decimal: &Decimal, count: i32) -> String {
    if decimal.point <= 0 {
        let mut text = String::from("0");
        if count > 0 {
            text.push('.');
            (decimal.point..count).for_each(|index| text.push(decimal.digit(index)));
        }
        return text;
    }
    let mut text: String = (0..decimal.point).map(|index| decimal.digit(index)).collect();
    if count > decimal.point {
        text.push('.');
        (decimal.point..count).for_each(|index| text.push(decimal.digit(index)));
    }
    text
}

/// The bits of a number: its fraction as a whole number, and its exponent of 2.
fn parts(size: f64) -> (u64, i32) {
    let bits = size.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let exponent = i32::try_from(bits >> 52 & 0x7ff).unwrap_or(0);
    if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) }
}

fn binary(size: f64) -> String {
    let (fraction, exponent) = parts(size);
    format!("{fraction}p{exponent:+}")
}

/// `-0x1.yyyp±dd`
fn hexadecimal(size: f64, precision: Option<usize>, verb: char) -> String {
    let (fraction, exponent) = parts(size);
    let letter = if verb == 'X' { 'P' } else { 'p' };
    let (mut fraction, mut exponent) = (u128::from(fraction) << 8, exponent + 52);
    if fraction == 0 {
        exponent = 0;
    }
    while fraction != 0 && fraction >> 60 == 0 {
        fraction <<= 1;
        exponent -= 1;
    }
    let mut digits = 15;
    if let Some(wanted) = precision.filter(|wanted| *wanted < 15) {
        let extra = (fraction << (wanted * 4)) & ((1 << 60) - 1);
        fraction >>= 60 - wanted * 4;
        let half = 1 << 59;
        if extra > half || (extra == half && fraction & 1 == 1) {
            fraction += 1;
        }
        fraction <<= 60 - wanted * 4;
        if fraction >> 61 != 0 {
            fraction >>= 1;
            exponent += 1;
        }
        digits = wanted;
    }
    let tail = format!("{:015x}", fraction & ((1 << 60) - 1));
    let tail = match precision {
        None => tail.trim_end_matches('0').to_owned(),
        Some(wanted) => format!("{:0<wanted$}", &tail[..digits]),
    };
    let point = if tail.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    let text = format!("0x{}{point}{tail}{letter}{sign}{:02}", fraction >> 60, exponent.unsigned_abs());
    if verb == 'X' { text.to_uppercase() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_gos() {
        for (number, verb, precision, expected) in [
            (0.0, 'g', None, "0"),
            (-0.0, 'g', None, "-0"),
            (1.5, 'g', None, "1.5"),
            (1e6, 'f', Some(6), "1000000.000000"),
            (1.0, 'e', Some(6), "1.000000e+00"),
            (1e100, 'g', None, "1e+100"),
            (1e-5, 'g', None, "1e-05"),
            (0.0001, 'g', None, "0.0001"),
            (123_456_789.0, 'g', Some(4), "1.235e+08"),
            (100.0, 'g', Some(3), "100"),
            (1.0, 'x', None, "0x1p+00"),
            (1.5, 'x', None, "0x1.8p+00"),
            (1.5, 'X', Some(2), "0X1.80P+00"),
            (1.0, 'b', None, "4503599627370496p-52"),
            (f64::INFINITY, 'g', None, "+Inf"),
            (f64::NAN, 'f', None, "NaN"),
        ] {
            assert_eq!(format(number, verb, precision), expected, "{number} {verb} {precision:?}");
        }
        for (number, expected) in [
            (1.0, "1"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1e-7, "1e-7"),
            (0.000_001, "0.000001"),
        ] {
            assert_eq!(json(number), expected);
        }
    }
}
