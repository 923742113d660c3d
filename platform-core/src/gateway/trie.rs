//! Paths by segments. Not matchit: that refuses `/{id}` next to `/{*rest}`, which a gateway needs.

use std::collections::BTreeMap;

/// A tree of path shapes. At each segment a text is tried before a parameter, and a parameter before
/// the rest; what turns out not to lead anywhere is taken back. A look-up visits each node of the tree at
/// most once, since a node stands for one depth of the path only.
#[derive(Debug)]
pub(super) struct Trie<T> {
    texts: BTreeMap<Box<str>, Trie<T>>,
    parameter: Option<Box<Trie<T>>>,
    rest: Option<T>,
    here: Option<T>,
}

impl<T> Default for Trie<T> {
    fn default() -> Trie<T> {
        Trie { texts: BTreeMap::new(), parameter: None, rest: None, here: None }
    }
}

impl<T: Default> Trie<T> {
    /// The value of a canonical shape (see [`super::pattern::shape`]), made when it is not there.
    pub(super) fn entry(&mut self, shape: &str) -> &mut T {
        let mut node = self;
        for segment in shape.strip_prefix('/').unwrap_or(shape).split('/') {
            if segment.starts_with("{*") {
                return node.rest.get_or_insert_default();
            }
            node = if segment.starts_with('{') {
                node.parameter.get_or_insert_default()
            } else {
                node.texts.entry(segment.into()).or_default()
            };
        }
        node.here.get_or_insert_default()
    }
}

impl<T> Trie<T> {
    /// The value of the most specific shape that a canonical path has.
    pub(super) fn at(&self, path: &str) -> Option<&T> {
        self.below(Some(path.strip_prefix('/')?))
    }

    fn below(&self, path: Option<&str>) -> Option<&T> {
        let Some(path) = path else { return self.here.as_ref() };
        let (segment, rest) = match path.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (path, None),
        };
        let text = || self.texts.get(segment)?.below(rest);
        let parameter = || self.parameter.as_ref().filter(|_| !segment.is_empty())?.below(rest);
        let remainder = || self.rest.as_ref().filter(|_| !segment.is_empty());
        text().or_else(parameter).or_else(remainder)
    }
}
