//! What the host knows: who has which end of which topic open. No sockets, no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::wire::{Answer, Ask, Place, Refusal, Shape, Tell, VERSION};
use crate::{Mode, limits};

/// A member, by the name its socket has at the host.
pub(super) type Member = Vec<u8>;

/// Who is to be told what, in this order.
pub(super) type Told = Vec<(Member, Tell)>;

#[derive(Debug, Default)]
pub(super) struct Registry {
    /// Members, and how many ends each has open.
    members: HashMap<Member, usize>,
    topics: HashMap<String, Opened>,
    /// The topics of outlets and inlets.
    ends: HashMap<u64, String>,
    mailboxes: BTreeMap<String, Mailbox>,
    next: u64,
    /// Answers that wait until others have heeded what they were told.
    waiting: HashMap<u64, Waiting>,
    silence_ms: u64,
}

#[derive(Debug)]
struct Opened {
    shape: Shape,
    outlets: BTreeMap<u64, Outlet>,
    inlets: BTreeMap<u64, Inlet>,
    /// All senders have closed.
    is_over: bool,
    /// A receiver was told so.
    is_told: bool,
}

#[derive(Debug)]
struct Outlet {
    member: Member,
    /// It has closed or gone, and keeps what it has for the inlet that comes next.
    holds: bool,
}

#[derive(Debug)]
struct Inlet {
    member: Member,
    at: String,
    /// Nobody else receives.
    alone: bool,
    /// Outlets that send to it, or have sent to it and sent their end.
    senders: BTreeMap<u64, Member>,
}

#[derive(Debug)]
struct Mailbox {
    id: u64,
    member: Member,
    at: String,
    /// Who was told where it is.
    known: BTreeSet<Member>,
}

#[derive(Debug)]
struct Waiting {
    member: Member,
    n: u64,
    answer: Answer,
    /// Those who have not heeded yet.
    left: BTreeSet<Member>,
}

impl Opened {
    fn new(shape: Shape) -> Self {
        Self { shape, outlets: BTreeMap::new(), inlets: BTreeMap::new(), is_over: false, is_told: false }
    }

    fn places(&self) -> Vec<Place> {
        self.inlets.iter().map(|(id, inlet)| (*id, inlet.at.clone())).collect()
    }

    fn is_open(&self) -> bool {
        self.outlets.values().any(|outlet| !outlet.holds)
    }

    fn is_spent(&self) -> bool {
        let has_end = self.is_over && !self.is_told && self.shape.mode == Mode::Pipeline;
        self.outlets.is_empty() && self.inlets.is_empty() && !has_end && !self.shape.lasting
    }

    /// All inlets are told that it is over, and whose ends they wait for.
    fn tell_over(&self, told: &mut Told) {
        for (id, inlet) in self.inlets.iter().filter(|_| self.is_over) {
            let senders = inlet.senders.keys().copied().collect();
            told.push((inlet.member.clone(), Tell::Over { inlet: *id, senders }));
        }
    }
}

type Granted = Result<Option<Answer>, Refusal>;

impl Registry {
    pub(super) fn new(silence_ms: u64) -> Self {
        Self { silence_ms, ..Self::default() }
    }

    pub(super) fn knows(&self, member: &[u8]) -> bool {
        self.members.contains_key(member)
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.keys()
    }

    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Deals with a request; each that is to be answered is, once.
    pub(super) fn hear(&mut self, from: &Member, n: u64, ask: Ask) -> Told {
        let mut told = Vec::new();
        let granted = match ask {
            Ask::Hello { version } => self.welcome(from, version).map(Some),
            _ if !self.knows(from) => Err(Refusal::Stranger {}),
            Ask::Beat {} => {
                told.push((from.clone(), Tell::Beat {}));
                Ok(None)
            }
            Ask::Heeded { token } => {
                self.heeded(from, token, &mut told);
                Ok(None)
            }
            Ask::Outlet { topic } => self.outlet(from, topic).map(Some),
            Ask::Inlet { topic, at, alone } => self.inlet(from, n, (topic, alone), at, &mut told),
            Ask::Finish { outlet, ends, holds } => self.finish(from, outlet, (ends, holds), &mut told).map(Some),
            Ask::Leave { inlet, told: end } => self.leave(from, inlet, end, &mut told).map(Some),
            Ask::Mailbox { address, at } => self.mailbox(from, address, at).map(Some),
            Ask::GiveUp { mailbox } => self.give_up(from, n, mailbox, &mut told),
            Ask::Find { address } => self.find(from, address).map(Some),
            Ask::Bye {} => {
                self.forget(from, false, &mut told);
                Ok(Some(Answer::Done {}))
            }
        };
        match granted {
            Ok(Some(answer)) => told.push((from.clone(), Tell::Granted { n, answer })),
            Ok(None) => {}
            Err(refusal) => told.push((from.clone(), Tell::Refused { n, refusal })),
        }
        told
    }

    fn welcome(&mut self, from: &Member, version: u32) -> Result<Answer, Refusal> {
        if version != VERSION {
            let reason = format!("its version is {version}, and {VERSION} is understood");
            return Err(Refusal::Bad { reason });
        }
        if self.members.len() >= limits::ZMQ_MEMBERS {
            return Err(Refusal::Bad { reason: format!("there are {} members already", self.members.len()) });
        }
        self.members.entry(from.clone()).or_default();
        Ok(Answer::Welcome { silence_ms: self.silence_ms })
    }

    /// Counts an end of a member, which has not too many.
    fn count(&mut self, member: &Member) -> Result<(), Refusal> {
        let ends = self.members.entry(member.clone()).or_default();
        if *ends >= limits::ZMQ_ENDS {
            return Err(Refusal::Bad { reason: format!("the member has {ends} ends open already") });
        }
        *ends += 1;
        Ok(())
    }

    fn discount(&mut self, member: &Member) {
        if let Some(ends) = self.members.get_mut(member) {
            *ends = ends.saturating_sub(1);
        }
    }

    /// The topic, which is open like that or not open at all.
    fn opened(&mut self, shape: Shape) -> Result<&mut Opened, Refusal> {
        if let Some(open) = self.topics.get(&shape.name)
            && let Some(reason) = shape.differs(&open.shape)
        {
            return Err(Refusal::Mismatch { topic: shape.name, reason });
        }
        if self.topics.len() >= limits::ZMQ_TOPICS && !self.topics.contains_key(&shape.name) {
            return Err(Refusal::Bad { reason: format!("there are {} topics already", self.topics.len()) });
        }
        Ok(self.topics.entry(shape.name.clone()).or_insert_with(|| Opened::new(shape)))
    }

    fn outlet(&mut self, from: &Member, shape: Shape) -> Result<Answer, Refusal> {
        let (name, topic) = (shape.name.clone(), shape.clone());
        let (id, is_pipeline) = (self.id(), shape.mode == Mode::Pipeline);
        let opened = self.opened(shape)?;
        if opened.is_over {
            let is_awaited = is_pipeline && (!opened.is_told || !opened.outlets.is_empty());
            if !opened.inlets.is_empty() || is_awaited {
                return Err(Refusal::Ended { topic: name });
            }
            (opened.is_over, opened.is_told) = (false, false);
        }
        self.count(from)?;
        let Some(opened) = self.topics.get_mut(&name) else { return Err(Refusal::Stranger {}) };
        opened.outlets.insert(id, Outlet { member: from.clone(), holds: false });
        opened.inlets.values_mut().for_each(|inlet| drop(inlet.senders.insert(id, from.clone())));
        let places = opened.places();
        self.ends.insert(id, name);
        Ok(Answer::Outlet { id, topic, places })
    }

    /// Answered once all who send know it.
    fn inlet(&mut self, from: &Member, n: u64, asked: (Shape, bool), at: String, told: &mut Told) -> Granted {
        let ((shape, alone), id, token) = (asked, self.id(), self.id());
        let name = shape.name.clone();
        let mut others = self.opened(shape)?.inlets.values();
        if others.any(|other| alone || other.alone) {
            return Err(Refusal::Occupied { topic: name });
        }
        self.count(from)?;
        let Some(opened) = self.topics.get_mut(&name) else { return Err(Refusal::Stranger {}) };
        let senders: BTreeMap<_, _> = opened.outlets.iter().map(|(id, sender)| (*id, sender.member.clone())).collect();
        let mut left = BTreeSet::new();
        for (outlet, sender) in &opened.outlets {
            left.insert(sender.member.clone());
            told.push((sender.member.clone(), Tell::Add { token, outlet: *outlet, place: (id, at.clone()) }));
        }
        // What was kept for whoever comes next has found whom it was kept for.
        let over = opened.is_over.then(|| senders.keys().copied().collect());
        opened.inlets.insert(id, Inlet { member: from.clone(), at, alone, senders });
        let given: Vec<u64> = opened.outlets.iter().filter(|(_, sender)| sender.holds).map(|(id, _)| *id).collect();
        self.ends.insert(id, name);
        for outlet in given {
            self.close_outlet(outlet);
        }
        let answer = Answer::Inlet { id, over };
        Ok(self.once_heeded(token, Waiting { member: from.clone(), n, answer, left }))
    }

    /// The answer, or `None` where somebody is still to heed.
    fn once_heeded(&mut self, token: u64, waiting: Waiting) -> Option<Answer> {
        if waiting.left.is_empty() {
            return Some(waiting.answer);
        }
        self.waiting.insert(token, waiting);
        None
    }

    fn heeded(&mut self, from: &Member, token: u64, told: &mut Told) {
        let Some(waiting) = self.waiting.get_mut(&token) else { return };
        waiting.left.remove(from);
        if waiting.left.is_empty()
            && let Some(Waiting { member, n, mut answer, .. }) = self.waiting.remove(&token)
        {
            if let Answer::Inlet { id, over } = &mut answer {
                // Its member would not know yet what it was told in the meantime.
                *over = self.over(*id);
            }
            told.push((member, Tell::Granted { n, answer }));
        }
    }

    /// Whose ends an inlet waits for, if its topic is over.
    fn over(&self, inlet: u64) -> Option<Vec<u64>> {
        let opened = self.topics.get(self.ends.get(&inlet)?).filter(|opened| opened.is_over)?;
        opened.inlets.get(&inlet).map(|inlet| inlet.senders.keys().copied().collect())
    }

    /// The topic's name of an end that the member has.
    fn of(&self, from: &Member, end: u64) -> Result<String, Refusal> {
        let name = self.ends.get(&end).filter(|name| {
            self.topics.get(*name).is_some_and(|opened| {
                opened.outlets.get(&end).is_some_and(|outlet| outlet.member == *from)
                    || opened.inlets.get(&end).is_some_and(|inlet| inlet.member == *from)
            })
        });
        name.cloned().ok_or_else(|| Refusal::Bad { reason: format!("it has no end {end}") })
    }

    fn finish(&mut self, from: &Member, id: u64, how: (bool, bool), told: &mut Told) -> Result<Answer, Refusal> {
        let ((ends, holds), name) = (how, self.of(from, id)?);
        let Some(opened) = self.topics.get_mut(&name) else { return Err(Refusal::Stranger {}) };
        let places = opened.places();
        let waits = holds && places.is_empty() && opened.shape.mode == Mode::Pipeline;
        let Some(outlet) = opened.outlets.get_mut(&id) else {
            return Err(Refusal::Bad { reason: format!("it has no outlet {id}") });
        };
        outlet.holds = true;
        if ends && !opened.is_open() {
            opened.is_over = true;
            opened.is_told |= opened.shape.mode == Mode::PubSub;
        }
        opened.tell_over(told);
        if !waits {
            self.close_outlet(id);
        }
        Ok(Answer::Finished { outlet: id, places, waits })
    }

    /// Nothing is told to an outlet any more.
    fn close_outlet(&mut self, id: u64) {
        let Some(name) = self.ends.remove(&id) else { return };
        let Some(opened) = self.topics.get_mut(&name) else { return };
        if let Some(outlet) = opened.outlets.remove(&id) {
            let is_spent = opened.is_spent();
            self.discount(&outlet.member);
            if is_spent {
                self.topics.remove(&name);
            }
        }
    }

    fn leave(&mut self, from: &Member, id: u64, end: bool, told: &mut Told) -> Result<Answer, Refusal> {
        let name = self.of(from, id)?;
        self.close_inlet(&name, id, end, told);
        Ok(Answer::Done {})
    }

    fn close_inlet(&mut self, name: &str, id: u64, end: bool, told: &mut Told) {
        self.ends.remove(&id);
        let Some(opened) = self.topics.get_mut(name) else { return };
        let Some(inlet) = opened.inlets.remove(&id) else { return };
        opened.is_told |= end;
        for (outlet, sender) in &opened.outlets {
            told.push((sender.member.clone(), Tell::Remove { outlet: *outlet, inlet: id }));
        }
        let is_spent = opened.is_spent();
        self.discount(&inlet.member);
        if is_spent {
            self.topics.remove(name);
        }
    }

    fn mailbox(&mut self, from: &Member, address: String, at: String) -> Result<Answer, Refusal> {
        if self.mailboxes.contains_key(&address) {
            return Err(Refusal::Taken { address });
        }
        self.count(from)?;
        let id = self.id();
        self.mailboxes.insert(address, Mailbox { id, member: from.clone(), at, known: BTreeSet::new() });
        Ok(Answer::Mailbox { id })
    }

    /// Answered once all who post there know it.
    fn give_up(&mut self, from: &Member, n: u64, id: u64, told: &mut Told) -> Granted {
        let address = self.mailboxes.iter().find(|(_, mailbox)| mailbox.id == id && mailbox.member == *from);
        let Some(address) = address.map(|(address, _)| address.clone()) else {
            return Err(Refusal::Bad { reason: format!("it has no mailbox {id}") });
        };
        let (token, left) = self.close_mailbox(&address, told);
        Ok(self.once_heeded(token, Waiting { member: from.clone(), n, answer: Answer::Done {}, left }))
    }

    fn close_mailbox(&mut self, address: &str, told: &mut Told) -> (u64, BTreeSet<Member>) {
        let token = self.id();
        let Some(mailbox) = self.mailboxes.remove(address) else { return (token, BTreeSet::new()) };
        self.discount(&mailbox.member);
        for member in &mailbox.known {
            told.push((member.clone(), Tell::Gone { token, address: address.to_owned() }));
        }
        (token, mailbox.known)
    }

    fn find(&mut self, from: &Member, address: String) -> Result<Answer, Refusal> {
        let Some(mailbox) = self.mailboxes.get_mut(&address) else { return Err(Refusal::NoSuchAddress { address }) };
        mailbox.known.insert(from.clone());
        Ok(Answer::Found { id: mailbox.id, at: mailbox.at.clone(), address })
    }

    /// A member is gone with all that it had: its outlets have left without an end. Where it is lost, also ends that it
    /// had sent
    /// may never come.
    pub(super) fn forget(&mut self, member: &Member, is_lost: bool, told: &mut Told) {
        if self.members.remove(member).is_none() {
            return;
        }
        let names: Vec<String> = self.topics.keys().cloned().collect();
        for name in names {
            self.forget_in(&name, member, is_lost, told);
        }
        let owned = self.mailboxes.iter().filter(|(_, mailbox)| mailbox.member == *member);
        for address in owned.map(|(address, _)| address.clone()).collect::<Vec<_>>() {
            self.close_mailbox(&address, told);
        }
        for mailbox in self.mailboxes.values_mut() {
            mailbox.known.remove(member);
        }
        self.waiting.retain(|_, waiting| waiting.member != *member);
        let tokens: Vec<u64> = self.waiting.keys().copied().collect();
        for token in tokens {
            self.heeded(member, token, told);
        }
        told.retain(|(to, _)| to != member);
    }

    fn forget_in(&mut self, name: &str, member: &Member, is_lost: bool, told: &mut Told) {
        let Some(opened) = self.topics.get_mut(name) else { return };
        let lost = |(id, of): (&u64, &Member)| (of == member).then_some(*id);
        let outlets: Vec<u64> = opened.outlets.iter().map(|(id, end)| (id, &end.member)).filter_map(lost).collect();
        let inlets: Vec<u64> = opened.inlets.iter().map(|(id, end)| (id, &end.member)).filter_map(lost).collect();
        for inlet in opened.inlets.values_mut() {
            inlet.senders.retain(|id, of| of != member || !(is_lost || outlets.contains(id)));
        }
        opened.tell_over(told);
        for inlet in inlets {
            self.close_inlet(name, inlet, false, told);
        }
        for outlet in outlets {
            self.close_outlet(outlet);
        }
    }
}
