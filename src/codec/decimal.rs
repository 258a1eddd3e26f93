//! Whole numbers as text, without the detour through a formatter: every call writes some.

/// Digits of the largest number.
const DIGITS_MAX: usize = 20;

/// The digits of a number.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    digits: [u8; DIGITS_MAX],
    start: usize,
}

impl Decimal {
    /// Of that number.
    // A compiler that sees the digits' places unrolls the loop for each caller, and counts all twenty.
    #[inline(never)]
    pub fn of(number: u64) -> Self {
        let (mut digits, mut start, mut rest) = ([0; DIGITS_MAX], DIGITS_MAX, number);
        loop {
            start -= 1;
            // A remainder of ten is one digit.
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                return Self { digits, start };
            }
        }
    }

    /// From the first one on, which is zero only for zero.
    pub fn as_bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_they_are() {
        for number in [0, 7, 10, 305, 25_000, u64::MAX] {
            assert_eq!(Decimal::of(number).as_bytes(), number.to_string().as_bytes());
        }
    }
}
