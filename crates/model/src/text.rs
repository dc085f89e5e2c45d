//! Comparing text as search does: case ignored, in any script.

/// Lower-cases character by character, so that the same word is found however it is written.
///
/// Both what is stored and what is searched go through here, on either engine, which is why no
/// database's own idea of case takes part. Sigma's final form is folded to the usual one.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        fold_char(c, &mut folded);
    }
    folded
}

fn fold_char(c: char, out: &mut String) {
    match c {
        'A'..='Z' => out.push(c.to_ascii_lowercase()),
        '\0'..='\x7f' => out.push(c),
        'ς' => out.push('σ'),
        _ => out.extend(c.to_lowercase()),
    }
}

/// A text to look for, folded once.
#[derive(Clone, Debug)]
pub struct Needle {
    folded: String,
    finder: memchr::memmem::Finder<'static>,
}

impl Needle {
    /// Prepares `text` for [`Needle::is_in`].
    #[must_use]
    pub fn new(text: &str) -> Self {
        let folded = fold(text);
        let finder = memchr::memmem::Finder::new(folded.as_bytes()).into_owned();
        Self { folded, finder }
    }

    /// The folded text.
    #[must_use]
    pub fn folded(&self) -> &str {
        &self.folded
    }

    /// True where `text` holds the needle, case ignored.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.finder.find(fold(text).as_bytes()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_ignored_in_any_script() {
        for (needle, text) in [
            ("REFUND", "a refund, please"),
            ("šime", "ŠIME"),
            ("ΟΔΟΣ", "οδος"),
            ("退款", "我要退款"),
            ("100%_", "x 100%_ y"),
            ("😀", "so 😀!"),
        ] {
            assert!(Needle::new(needle).is_in(text), "{needle} in {text}");
        }
        assert!(!Needle::new("_").is_in("abc"));
        assert!(!Needle::new("%").is_in("abc"));
    }
}
