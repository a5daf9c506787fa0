//! Writes numbers in the form that pages show.

/// A number with three significant digits.
pub(crate) fn significant(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let size = value.abs();
    if size == 0.0 {
        "0".into()
    } else if (1e-4..1e6).contains(&size) {
        let decimals = (2.0 - size.log10().floor()).clamp(0.0, 7.0) as usize;
        signed(format!("{value:.decimals$}"))
    } else {
        power_of_ten(value)
    }
}

/// A share in percent with one decimal, without the percent sign.
pub(crate) fn percent(share: f64) -> String {
    percent_to(share, 1)
}

/// A share in percent with the given number of decimals, without the percent sign.
pub(crate) fn percent_to(share: f64, decimals: usize) -> String {
    if share.is_finite() { signed(format!("{:.decimals$}", share * 100.0)) } else { "–".into() }
}

/// A power of ten in mathematical notation: `10⁻³`, `1`.
pub(crate) fn raised(power: i32) -> String {
    if power == 0 {
        return "1".into();
    }
    let digits = power.to_string();
    let above = digits.chars().map(|digit| match digit {
        '0' => '⁰',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4' => '⁴',
        '5' => '⁵',
        '6' => '⁶',
        '7' => '⁷',
        '8' => '⁸',
        '9' => '⁹',
        _ => '⁻',
    });
    "10".chars().chain(above).collect()
}

/// A rate: in the form `10⁻³` if it is a power of ten, otherwise with three significant digits.
pub(crate) fn rate(value: f64) -> String {
    let power = value.log10();
    if value > 0.0 && value < 1.0 && (power - power.round()).abs() < 1e-9 {
        raised(power.round() as i32)
    } else {
        significant(value)
    }
}

/// A number rounded to an integer, with its digits in groups of three.
pub(crate) fn grouped(value: f64) -> String {
    in_groups(&format!("{value:.0}"))
}

/// Digits in groups of three.
pub(crate) fn in_groups(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && digits.len() > 4 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

fn power_of_ten(value: f64) -> String {
    signed(format!("{value:.2e}"))
}

/// A power of ten with at most three digits before it: `6e9`, `2.5e9`.
pub(crate) fn short_power_of_ten(value: f64) -> String {
    let number = format!("{value:.2e}");
    match number.split_once('e') {
        Some((digits, power)) => {
            let digits = digits.trim_end_matches('0').trim_end_matches('.');
            signed(format!("{digits}e{power}"))
        }
        None => signed(number),
    }
}

/// The number with a true minus sign in place of the hyphen.
pub(crate) fn signed(number: String) -> String {
    number.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(significant(0.123456), "0.123");
        assert_eq!(significant(-1234.6), "−1235");
        assert_eq!(significant(1e-9), "1.00e−9");
        assert_eq!(percent(0.8731), "87.3");
        assert_eq!(grouped(1_234_567.0), "1\u{202f}234\u{202f}567");
        assert_eq!(grouped(1234.0), "1234");
        assert_eq!(rate(0.001), "10⁻³");
        assert_eq!(rate(0.0025), "0.00250");
    }
}
