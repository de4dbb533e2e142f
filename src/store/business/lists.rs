//! Parts of long lists: by the number of a page, or after an item that the caller has seen.
//!
//! What comes after an item is a range of the index that gives the list its order, wherever it begins, and stays that
//! while rows are inserted and removed. The number of a page is only true at one moment, has all pages before it read
//! and thrown away, and brings the length of the whole list with it, which has to be counted.

use crate::sql::Unreadable;

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

    /// What is known of the length of the whole list when so many items were found, one more than the part has at most.
    pub fn total(&self, found: usize) -> Total {
        match self.page() {
            None => Total::Known(None),
            Some(page) => {
                let (before, found) = (page.offset().unsigned_abs(), found as u64);
                let is_last = found <= u64::from(page.size) && (found > 0 || before == 0);
                if is_last { Total::Known(Some(before + found)) } else { Total::Counted }
            }
        }
    }
}

/// What is known of the length of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    /// All that is told: nothing, where no page was asked for.
    Known(Option<u64>),
    /// It has to be counted.
    Counted,
}

/// An item of a list, or why it cannot be read, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<T, Mark> {
    /// Where it stands; none, where not even that can be read.
    pub mark: Option<Mark>,
    /// The item.
    pub read: Result<T, Unreadable>,
}

/// Part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T, Mark> {
    /// What is in it,
    pub items: Vec<T>,
    /// but for what is there and cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// Its last item, if the list goes on.
    pub next: Option<Mark>,
    /// How long the whole list is, where a page was asked for.
    pub total: Option<u64>,
}

impl<T, Mark> Listed<T, Mark> {
    /// Of one item more than was asked for, if there is one: it says that the list goes on, and is left out.
    pub fn cut(mut entries: Vec<Entry<T, Mark>>, size: u32, total: Option<u64>) -> Self {
        let size = size as usize;
        let goes_on = entries.len() > size;
        entries.truncate(size);
        let (mut items, mut unreadable, mut last) = (Vec::with_capacity(entries.len()), Vec::new(), None);
        for Entry { mark, read } in entries {
            last = mark.or(last);
            match read {
                Ok(item) => items.push(item),
                Err(why) => unreadable.push(why),
            }
        }
        Self { items, unreadable, next: last.filter(|_| goes_on), total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(items: Vec<i64>, unreadable: &[i64], next: Option<i64>) -> Listed<i64, i64> {
        let unreadable = unreadable.iter().map(|id| why(*id)).collect();
        Listed { items, unreadable, next, total: None }
    }

    fn why(id: i64) -> Unreadable {
        Unreadable { id: id.to_string(), reason: "odd".to_owned() }
    }

    #[test]
    fn a_list_goes_on_while_there_is_one_item_more() {
        let cut = |items: &[i64]| {
            let entry = |item: &i64| Entry { mark: Some(*item), read: Ok(*item) };
            Listed::cut(items.iter().map(entry).collect(), 2, None)
        };
        assert_eq!(cut(&[]), listed(vec![], &[], None));
        assert_eq!(cut(&[5, 4]), listed(vec![5, 4], &[], None));
        assert_eq!(cut(&[5, 4, 3]), listed(vec![5, 4], &[], Some(4)));
    }

    #[test]
    fn a_list_goes_on_behind_what_cannot_be_read() {
        let bad = |mark, id| Entry { mark, read: Err(why(id)) };
        let good = |id| Entry { mark: Some(id), read: Ok(id) };
        let cut = |entries: Vec<Entry<i64, i64>>| Listed::cut(entries, 2, None);
        assert_eq!(cut(vec![good(5), bad(Some(4), 4), good(3)]), listed(vec![5], &[4], Some(4)));
        assert_eq!(cut(vec![good(5), bad(None, 4), good(3)]), listed(vec![5], &[4], Some(5)));
        assert_eq!(cut(vec![bad(Some(5), 5), bad(Some(4), 4), good(3)]), listed(vec![], &[5, 4], Some(4)));
    }

    #[test]
    fn the_last_page_tells_the_length_of_the_list() {
        let total = |number, found| Part::<i64>::Page(Page { number, size: 20 }).total(found);
        assert_eq!(total(1, 0), Total::Known(Some(0)));
        assert_eq!(total(1, 20), Total::Known(Some(20)));
        assert_eq!(total(1, 21), Total::Counted);
        assert_eq!(total(3, 7), Total::Known(Some(47)));
        assert_eq!(total(3, 0), Total::Counted, "the list may end earlier");
        assert_eq!(Part::<i64>::After { mark: None, size: 20 }.total(3), Total::Known(None));
    }

    #[test]
    fn pages_are_counted_from_one() {
        assert_eq!(Page { number: 1, size: 20 }.offset(), 0);
        assert_eq!(Page { number: 3, size: 20 }.offset(), 40);
    }
}
