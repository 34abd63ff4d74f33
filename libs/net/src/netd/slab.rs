//! Places for flows, by number. A place that is used again has another key, so that what is late for the one before it
//! does not meet the next.

/// Where something is, for as long as it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    index: u32,
    generation: u32,
}

/// As many bits of a generation as a key has in a token.
const GENERATION: u32 = 0x00ff_ffff;

impl Key {
    /// As the lower seven bytes of a number.
    pub(super) fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The same back.
    pub(super) fn from_bits(bits: u64) -> Self {
        let low = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or_default();
        Self { index: low(bits), generation: low(bits >> 32) & GENERATION }
    }
}

/// The places.
#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
    /// The generation of a new place.
    first: u32,
}

/// How many places are kept for what comes.
pub(super) const KEPT: usize = 1024;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new(), first: 0 }
    }
}

impl<T> Slab<T> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Takes something in.
    pub(super) fn insert(&mut self, value: T) -> Key {
        if let Some(index) = self.free.pop()
            && let Some((generation, place)) = self.places.get_mut(index as usize)
        {
            *place = Some(value);
            return Key { index, generation: *generation };
        }
        // There are never more than a process has descriptors.
        let index = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.places.push((self.first, Some(value)));
        Key { index, generation: self.first }
    }

    /// Gives the memory of many places back, where nothing is left in them; whether it did. Keys go on being other ones than before.
    pub(super) fn give_back(&mut self) -> bool {
        let gives = self.len() == 0 && self.places.len() > KEPT;
        if gives {
            let next = self.places.iter().map(|(generation, _)| *generation).max();
            *self = Self { first: next.unwrap_or_default(), ..Self::default() };
        }
        gives
    }

    pub(super) fn get(&self, key: Key) -> Option<&T> {
        let (generation, value) = self.places.get(key.index as usize)?;
        value.as_ref().filter(|_| *generation == key.generation)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let (generation, value) = self.places.get_mut(key.index as usize)?;
        value.as_mut().filter(|_| *generation == key.generation)
    }

    /// All that is there, each with its key.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.places.iter().enumerate().filter_map(|(index, (generation, value))| {
            let key = Key { index: u32::try_from(index).ok()?, generation: *generation };
            Some((key, value.as_ref()?))
        })
    }

    /// Makes something else of what is there, in its place.
    pub(super) fn change(&mut self, key: Key, change: impl FnOnce(T) -> T) {
        if let Some((generation, place)) = self.places.get_mut(key.index as usize)
            && *generation == key.generation
        {
            *place = place.take().map(change);
        }
    }

    /// Gives something out, and its place back.
    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let (generation, value) = self.places.get_mut(key.index as usize)?;
        if *generation != key.generation {
            return None;
        }
        let value = value.take()?;
        *generation = generation.wrapping_add(1) & GENERATION;
        self.free.push(key.index);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_used_again_has_another_key() {
        let mut slab = Slab::default();
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second");
        assert_eq!((first.index, slab.len()), (second.index, 1));
        assert_eq!(slab.iter().collect::<Vec<_>>(), [(second, &"second")]);
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(Key::from_bits(second.to_bits())), Some(&"second"));
    }

    #[test]
    fn places_that_were_given_back_come_again_with_other_keys() {
        let mut slab = Slab::default();
        let keys: Vec<Key> = (0..=KEPT).map(|number| slab.insert(number)).collect();
        for (key, next) in keys.iter().zip(keys.iter().skip(1).map(Some).chain([None])) {
            slab.give_back();
            assert!(slab.remove(*key).is_some() && next.is_none_or(|next| slab.get(*next).is_some()));
        }
        slab.give_back();
        assert_eq!((slab.places.len(), slab.len()), (0, 0));
        assert!(!keys.contains(&slab.insert(0)));
    }

    #[test]
    fn generations_come_round() {
        let mut slab = Slab { places: vec![(GENERATION, None::<()>)], free: vec![0], first: 0 };
        let last = slab.insert(());
        assert_eq!(Key::from_bits(last.to_bits()), last);
        assert_eq!(slab.remove(last), Some(()));
        assert_eq!(slab.insert(()).generation, 0);
    }
}
