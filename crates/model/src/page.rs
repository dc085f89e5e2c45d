//! Pages of lists: what is asked for, and the envelope that both generations read.

use serde::{Deserialize, Serialize};

use crate::limits::{PAGE_ROWS, PAGE_ROWS_DEFAULT};

/// Which page of a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// 1-based.
    pub number: PageNumber,
    /// 1..=100.
    pub size: u32,
}

/// A page by its number, or the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageNumber {
    /// 1-based.
    At(u32),
    /// Whichever is the last.
    Last,
}

/// There is no such page: 404 `Invalid page.`
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such page")]
pub struct InvalidPage;

impl Default for Page {
    fn default() -> Self {
        Self { number: PageNumber::At(1), size: PAGE_ROWS_DEFAULT }
    }
}

impl Page {
    /// Reads `page` and `page_size` (contract: README §4): too large a size is clamped, a bad one
    /// falls back to the default, a bad page is none.
    ///
    /// # Errors
    /// [`InvalidPage`] for a page that is no positive number and not `last`.
    pub fn parse(page: Option<&str>, size: Option<&str>) -> Result<Self, InvalidPage> {
        let number = match page {
            None => PageNumber::At(1),
            Some("last") => PageNumber::Last,
            Some(text) => PageNumber::At(text.parse().ok().filter(|n| *n >= 1).ok_or(InvalidPage)?),
        };
        // Digits past the largest number are a large size too.
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let size = size.filter(|text| digits(text)).map(|text| text.parse().unwrap_or(u64::MAX)).filter(|n| *n >= 1);
        let size = size.map_or(PAGE_ROWS_DEFAULT, |n| u32::try_from(n).unwrap_or(PAGE_ROWS).min(PAGE_ROWS));
        Ok(Self { number, size })
    }

    /// Number and first row of this page among `count` rows.
    ///
    /// # Errors
    /// [`InvalidPage`] past the end, except for the first page of nothing.
    pub fn resolve(self, count: u64) -> Result<(u32, u64), InvalidPage> {
        let pages = total_pages(count, self.size);
        let number = match self.number {
            PageNumber::Last => pages,
            PageNumber::At(number) => number,
        };
        if number > pages { Err(InvalidPage) } else { Ok((number, u64::from(number - 1) * u64::from(self.size))) }
    }
}

/// Pages that `count` rows take; at least one.
#[must_use]
pub fn total_pages(count: u64, size: u32) -> u32 {
    u32::try_from(count.div_ceil(u64::from(size.max(1))).max(1)).unwrap_or(u32::MAX)
}

/// One page of rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Paged<T> {
    /// Rows over all pages.
    pub count: u64,
    /// Size of a page, after clamping.
    pub page_size: u32,
    /// At least 1.
    pub total_pages: u32,
    /// 1-based.
    pub current_page: u32,
    /// Address of the next page, with every other parameter kept; null on the last.
    pub next: Option<String>,
    /// Address of the page before; null on the first.
    pub previous: Option<String>,
    /// The rows.
    pub results: Vec<T>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_clamped_and_bad_pages_refused() {
        assert_eq!(Page::parse(None, Some("1000")).unwrap().size, 100);
        assert_eq!(Page::parse(None, Some("99999999999")).unwrap().size, 100);
        assert_eq!(Page::parse(None, Some("99999999999999999999")).unwrap().size, 100);
        for bad in ["0", "-1", "x", ""] {
            assert_eq!(Page::parse(None, Some(bad)).unwrap().size, 10, "{bad}");
            assert_eq!(Page::parse(Some(bad), None), Err(InvalidPage), "{bad}");
        }
    }

    #[test]
    fn the_first_page_of_nothing_is_there_and_no_other() {
        let page = |text| Page::parse(Some(text), Some("10")).unwrap();
        assert_eq!(page("1").resolve(0), Ok((1, 0)));
        assert_eq!(page("2").resolve(0), Err(InvalidPage));
        assert_eq!(page("2").resolve(11), Ok((2, 10)));
        assert_eq!(page("last").resolve(31), Ok((4, 30)));
        assert_eq!(page("3").resolve(20), Err(InvalidPage));
    }
}
