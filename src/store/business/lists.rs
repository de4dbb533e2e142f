//! Parts of long lists: by the number of a page, or after an item that the caller has seen.
//!
//! What comes after an item is a range of the index that gives the list its order, wherever it begins, and stays that
//! while rows are inserted and removed. The number of a page is only true at one moment, has all pages before it read
//! and thrown away, and brings the length of the whole list with it, which has to be counted.

/// A page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Which, from 1.
    pub number: u32,
    /// How long it is.
    pub size: u32,
}

impl Page {
    /// How much of the list comes before it.
    pub fn offset(self) -> i64 {
        i64::from(self.size) * i64::from(self.number.saturating_sub(1))
    }
}

/// Which part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<Mark> {
    /// This page, with the length of the whole list.
    Page(Page),
    /// So many items after this one, or from the beginning.
    After {
        /// The item.
        mark: Option<Mark>,
        /// How many.
        size: u32,
    },
}

impl<Mark> Part<Mark> {
    /// The page, if it is one.
    pub fn page(&self) -> Option<Page> {
        match self {
            Self::Page(page) => Some(*page),
            Self::After { .. } => None,
        }
    }

    /// How many items it has at most.
    pub fn size(&self) -> u32 {
        match self {
            Self::Page(page) => page.size,
            Self::After { size, .. } => *size,
        }
    }
}

/// Part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T, Mark> {
    /// What is in it.
    pub items: Vec<T>,
    /// Its last item, if the list goes on.
    pub next: Option<Mark>,
    /// How long the whole list is, where a page was asked for.
    pub total: Option<u64>,
}

impl<T, Mark> Listed<T, Mark> {
    /// Of one item more than was asked for, if there is one: it says that the list goes on, and is left out.
    pub fn cut(mut items: Vec<T>, size: u32, total: Option<u64>, mark: impl Fn(&T) -> Mark) -> Self {
        let size = size as usize;
        let goes_on = items.len() > size;
        items.truncate(size);
        let next = items.last().filter(|_| goes_on).map(mark);
        Self { items, next, total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_on_while_there_is_one_item_more() {
        let cut = |items: &[i64]| Listed::cut(items.to_vec(), 2, None, |item| *item);
        assert_eq!(cut(&[]), Listed { items: vec![], next: None, total: None });
        assert_eq!(cut(&[5, 4]), Listed { items: vec![5, 4], next: None, total: None });
        assert_eq!(cut(&[5, 4, 3]), Listed { items: vec![5, 4], next: Some(4), total: None });
    }

    #[test]
    fn pages_are_counted_from_one() {
        assert_eq!(Page { number: 1, size: 20 }.offset(), 0);
        assert_eq!(Page { number: 3, size: 20 }.offset(), 40);
    }
}
