//! All states that can come about, breadth first, and what is found among them.

use std::fmt::{self, Formatter};
use std::hash::{Hash, Hasher};

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

/// No number: there are fewer states.
const EMPTY: u32 = u32::MAX;

pub(super) struct Search<const W: usize, const P: usize> {
    states: Vec<State<W, P>>,
    /// Their numbers, each in the first place from that of its hash on that was free: a map would have each state twice.
    places: Vec<u32>,
    /// From which state each was reached first.
    origins: Vec<u32>,
    /// The states that follow on each without a fault, and where those of each begin.
    followers: Vec<u32>,
    begins: Vec<usize>,
}

impl<const W: usize, const P: usize> Search<W, P> {
    /// The states that there are, if all is well in them.
    pub(super) fn run(scope: Scope) -> Result<Vec<State<W, P>>, Found> {
        let (states, places) = (Vec::new(), vec![EMPTY; 1 << 10]);
        let mut search = Self { states, places, origins: Vec::new(), followers: Vec::new(), begins: Vec::new() };
        search.number(State::new(scope.faults).tidy(), 0);
        while search.begins.len() < search.states.len() {
            search.expand(search.begins.len(), scope)?;
        }
        search.begins.push(search.followers.len());
        search.goes_round(scope)?;
        Ok(search.states)
    }

    fn expand(&mut self, number: usize, scope: Scope) -> Result<(), Found> {
        self.begins.push(self.followers.len());
        let state = self.states[number];
        let mut stuck = state.someone_lives();
        for next in state.moves(scope) {
            stuck &= next.kind() != Kind::Progress;
            let follower = self.number(state.after(next, scope), number);
            if let Some(property) = self.states[follower as usize].broken {
                return Err(self.found(property, follower, scope));
            }
            if next.kind() != Kind::Fault {
                self.followers.push(follower);
            }
        }
        if stuck && !state.is_settled() {
            return Err(self.found(Property::NothingStuck, u32::try_from(number).unwrap(), scope));
        }
        Ok(())
    }

    fn number(&mut self, state: State<W, P>, origin: usize) -> u32 {
        if self.states.len() * 4 > self.places.len() * 3 {
            self.grow();
        }
        let place = self.place(&state);
        if self.places[place] == EMPTY {
            self.places[place] = u32::try_from(self.states.len()).unwrap();
            self.states.push(state);
            self.origins.push(u32::try_from(origin).unwrap());
        }
        self.places[place]
    }

    /// Where the number of a state is, or is to be.
    fn place(&self, state: &State<W, P>) -> usize {
        let mut mixer = Mixer::default();
        state.hash(&mut mixer);
        let last = self.places.len() - 1;
        let mut place = usize::try_from(mixer.finish() & last as u64).unwrap();
        while self.places[place] != EMPTY && self.states[self.places[place] as usize] != *state {
            place = (place + 1) & last;
        }
        place
    }

    fn grow(&mut self) {
        self.places = vec![EMPTY; 2 * self.places.len()];
        for number in 0..self.states.len() {
            let place = self.place(&self.states[number]);
            self.places[place] = u32::try_from(number).unwrap();
        }
    }

    fn followers(&self, number: usize) -> &[u32] {
        &self.followers[self.begins[number]..self.begins[number + 1]]
    }

    /// Takes away, again and again, the states to which no way without faults leads; what is left is on a circle, or
    /// behind one.
    fn goes_round(&self, scope: Scope) -> Result<(), Found> {
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
            Some(number) => Err(self.found(Property::NothingRound, u32::try_from(number).unwrap(), scope)),
            None => Ok(()),
        }
    }

    fn found(&self, property: Property, number: u32, scope: Scope) -> Found {
        let mut moves = Vec::new();
        let mut at = number;
        while at != 0 {
            let (origin, state) = (self.origins[at as usize], self.states[at as usize]);
            let before = self.states[origin as usize];
            moves.extend(before.moves(scope).into_iter().find(|next| before.after(*next, scope) == state));
            at = origin;
        }
        moves.reverse();
        Found { property, moves, state: format!("{:?}", self.states[number as usize]) }
    }
}
