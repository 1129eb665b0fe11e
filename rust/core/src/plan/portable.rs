//! Logarithm and exponential of additions, multiplications and divisions alone, which IEEE 754 defines to the bit:
//! the libraries of systems differ in the last place, and an order must not.

use std::f64::consts::{LN_2, SQRT_2};

/// The natural logarithm of a normal positive number, to about an ulp.
pub(super) fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = f64::from(u32::try_from(bits >> 52).unwrap_or(0)) - 1023.0;
    let mut mantissa = f64::from_bits(bits & (u64::MAX >> 12) | 1.0f64.to_bits()); // in [1, 2)
    if mantissa > SQRT_2 {
        mantissa /= 2.0;
        exponent += 1.0;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)); the argument is below 0.172, so 11 terms are more than enough.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let series = (0..=11).rev().fold(0.0, |sum, i| sum * square + 1.0 / f64::from(2 * i + 1));
    exponent * LN_2 + 2.0 * s * series
}

/// The exponential of a number between -700 and 700, to a few ulps.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most 1010
pub(super) fn exp(x: f64) -> f64 {
    let x = x.clamp(-700.0, 700.0);
    let power = (x / LN_2).round_ties_even();
    let rest = x - power * LN_2;
    let series = (1..=20).rev().fold(1.0, |sum, i| 1.0 + sum * rest / f64::from(i));
    (0..power.abs() as u32).fold(series, |value, _| if power < 0.0 { value / 2.0 } else { value * 2.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_agree_with_the_library_to_a_few_ulps() {
        for i in 1..20_000 {
            let x = f64::from(i) * f64::from(i) / 3e7 + 1e-12;
            assert!((ln(x) - x.ln()).abs() <= 4e-16 * x.ln().abs().max(1.0), "{x}");
            let y = x.ln() * 20.0;
            assert!((exp(y) / y.exp() - 1.0).abs() < 1e-13, "{y}");
        }
        assert_eq!((ln(1.0), exp(0.0)), (0.0, 1.0));
    }
}
