//! Choices made by a string of bytes: what proptest shrinks to fewer and smaller bytes makes simpler messages.

pub struct Entropy<'a>(&'a [u8]);

impl<'a> Entropy<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// 0 when there is no more.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub fn below(&mut self, end: usize) -> usize {
        if end > 200 { self.u64() as usize % end } else { usize::from(self.byte()) % end.max(1) }
    }

    pub fn chance(&mut self, of: usize) -> bool {
        self.below(of) == of - 1
    }

    pub fn u64(&mut self) -> u64 {
        (0..8).fold(0, |value, _| value << 8 | u64::from(self.byte()))
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A number that is often a boundary.
    pub fn number(&mut self) -> u64 {
        match self.below(6) {
            0 => u64::from(self.byte()),
            1 => self.pick(&[0, 1, u64::MAX, i64::MAX as u64, i64::MIN as u64]),
            2 => self.pick(&[i32::MAX as u64, i32::MIN as u64, u64::from(u32::MAX), 1 << 32, 127, 128, 16_383, 16_384]),
            3 => self.u64() >> 32,
            4 => (1 << 53) + u64::from(self.byte()),
            _ => self.u64(),
        }
    }

    pub fn text(&mut self) -> String {
        const PARTS: [&str; 16] = [
            "",
            "a",
            "Ann",
            " ",
            "é",
            "\"",
            ",",
            "\n",
            "\r\n",
            "\\",
            "\u{0}",
            "日本",
            "😀",
            "NA",
            "/",
            "\u{7f}\u{2028}",
        ];
        let count = self.below(5);
        (0..count).map(|_| self.pick(&PARTS)).collect()
    }

    pub fn bytes(&mut self) -> Vec<u8> {
        let count = self.below(6);
        (0..count).map(|_| self.byte()).collect()
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}
