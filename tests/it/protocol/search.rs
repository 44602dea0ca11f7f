//! All states that can come about, breadth first, and what is found among them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::{self, Formatter};
use std::hash::{BuildHasherDefault, Hasher};

use super::moves::{Kind, Move};
use super::property::{Property, Scope};
use super::state::State;

/// The shortest way to what must not be.
pub(super) struct Found {
    pub(super) property: Property,
    moves: Vec<Move>,
    state: String,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?} is broken; the workers are numbered anew after each move:", self.property)?;
        self.moves.iter().try_for_each(|next| writeln!(f, "  {next:?}"))?;
        write!(f, "{}", self.state)
    }
}

/// States are many small fields, and the hasher of the standard library takes most of the time in a build without
/// optimisation. Nobody chooses the states to make them collide.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value.cast_unsigned() as u64);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}

pub(super) struct Search<const W: usize, const P: usize> {
    numbers: HashMap<State<W, P>, u32, BuildHasherDefault<Mixer>>,
    states: Vec<State<W, P>>,
    /// From which state each was reached first, and how.
    origins: Vec<(u32, Move)>,
    /// The states that follow on each without a fault, and where those of each begin.
    followers: Vec<u32>,
    begins: Vec<usize>,
}

impl<const W: usize, const P: usize> Search<W, P> {
    /// The states that there are, if all is well in them.
    pub(super) fn run(scope: Scope) -> Result<Vec<State<W, P>>, Found> {
        let first = State::new(scope.faults).tidy();
        let mut search = Self {
            numbers: HashMap::from_iter([(first, 0)]),
            states: vec![first],
            origins: vec![(0, Move::File)],
            followers: Vec::new(),
            begins: Vec::new(),
        };
        while search.begins.len() < search.states.len() {
            search.expand(search.begins.len(), scope)?;
        }
        search.begins.push(search.followers.len());
        search.goes_round()?;
        Ok(search.states)
    }

    fn expand(&mut self, number: usize, scope: Scope) -> Result<(), Found> {
        self.begins.push(self.followers.len());
        let state = self.states[number];
        let mut stuck = state.someone_lives();
        for next in state.moves(scope) {
            stuck &= next.kind() != Kind::Progress;
            let follower = self.number(state.after(next, scope), number, next);
            if let Some(property) = self.states[follower as usize].broken {
                return Err(self.found(property, follower));
            }
            if next.kind() != Kind::Fault {
                self.followers.push(follower);
            }
        }
        if stuck && !state.is_settled() {
            return Err(self.found(Property::NothingStuck, u32::try_from(number).unwrap()));
        }
        Ok(())
    }

    fn number(&mut self, state: State<W, P>, origin: usize, next: Move) -> u32 {
        let number = u32::try_from(self.states.len()).unwrap();
        match self.numbers.entry(state) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                new.insert(number);
                self.states.push(state);
                self.origins.push((u32::try_from(origin).unwrap(), next));
                number
            }
        }
    }

    fn followers(&self, number: usize) -> &[u32] {
        &self.followers[self.begins[number]..self.begins[number + 1]]
    }

    /// Takes away, again and again, the states to which no way without faults leads; what is left is on a circle, or
    /// behind one.
    fn goes_round(&self) -> Result<(), Found> {
        let mut ways = vec![0_u32; self.states.len()];
        for follower in &self.followers {
            ways[*follower as usize] += 1;
        }
        let mut free: Vec<usize> = (0..ways.len()).filter(|&number| ways[number] == 0).collect();
        while let Some(number) = free.pop() {
            for &follower in self.followers(number) {
                ways[follower as usize] -= 1;
                if ways[follower as usize] == 0 {
                    free.push(follower as usize);
                }
            }
        }
        match ways.iter().position(|&ways| ways > 0) {
            Some(number) => Err(self.found(Property::NothingRound, u32::try_from(number).unwrap())),
            None => Ok(()),
        }
    }

    fn found(&self, property: Property, number: u32) -> Found {
        let mut moves = Vec::new();
        let mut at = number;
        while at != 0 {
            let (origin, next) = self.origins[at as usize];
            moves.push(next);
            at = origin;
        }
        moves.reverse();
        Found { property, moves, state: format!("{:?}", self.states[number as usize]) }
    }
}
