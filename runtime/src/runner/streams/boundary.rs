//! What a step boundary does with the streams of its process.

use procession_transport::Receipt;

use crate::limits;
use crate::process::{Ended, ErrorInfo};
use crate::runner::boundary::{Child, Plan};
use crate::runner::drive::Driver;
use crate::runner::entry::Resident;
use crate::stream::{Came, StreamError, Streams};

impl Resident {
    fn streams_mut(&mut self) -> Option<&mut Streams> {
        self.live.core_mut().streams.as_deref_mut()
    }

    /// Takes what has come and is waited for into the state of the process, up to as many items as it asked for. They are stored with
    /// its next boundary, and acknowledged after it.
    fn take_in(&mut self) -> Result<(), StreamError> {
        let Some(joint) = self.joint() else { return Ok(()) };
        let mut receipts = Vec::new();
        let Some(streams) = self.streams_mut() else { return Ok(()) };
        for (at, port) in streams.ins.iter_mut().enumerate().filter(|(_, port)| port.wants > 0) {
            let mut is_over = false;
            // What is known already leaves room for others.
            while port.room() > 0 && !is_over {
                let (came, over) = joint.take(at, port.room());
                is_over = over;
                if came.is_empty() {
                    break;
                }
                for delivery in came {
                    let (Came::New | Came::Known) = port.absorb(&delivery.envelope)?;
                    receipts.push(delivery.receipt);
                }
            }
            if is_over {
                port.end();
            }
        }
        if !receipts.is_empty() {
            self.extra_mut().receipts.append(&mut receipts);
        }
        Ok(())
    }

    /// The boundary is stored: what it has received does not come again.
    pub(in crate::runner) fn acknowledge(&mut self) {
        if self.extra().is_some_and(|extra| !extra.receipts.is_empty()) {
            std::mem::take(&mut self.extra_mut().receipts).into_iter().for_each(Receipt::ack);
        }
    }

    /// What the transport has need not be stored any more.
    pub(in crate::runner) fn forget_sent(&mut self) {
        if self.live.core().streams.is_none() {
            return;
        }
        let Some(joint) = self.joint() else { return };
        if let Some(streams) = self.streams_mut() {
            streams.forget(|port| joint.safe(port));
        }
    }
}

impl Driver<'_> {
    /// Takes in what a wait was for, before what comes next is chosen. Whether it is over; otherwise all that came was known.
    pub(in crate::runner) fn end_stream_wait(&mut self) -> Result<bool, StreamError> {
        let Some(joint) = self.resident.joint() else { return Ok(true) };
        if let Some(fault) = joint.take_fault() {
            return Err(fault);
        }
        if !self.resident.waiting.as_ref().is_some_and(|waiting| waiting.streams) {
            return Ok(true);
        }
        self.resident.take_in()?;
        let is_over = self.resident.live.core().streams.as_ref().is_none_or(|streams| streams.has_some());
        if !is_over {
            // It was stored when it came for the first time.
            self.resident.acknowledge();
        }
        Ok(is_over)
    }

    /// Puts into the state what a step has sent, closed and asked for. Whether it has to wait for something to come.
    pub(in crate::runner) fn apply_streams(&mut self) -> Result<bool, ErrorInfo> {
        let core = self.resident.live.core_mut();
        let Some(streams) = core.streams.as_deref_mut() else { return Ok(false) };
        let (mut sent, mut closed, mut wanted) = Default::default();
        if let Some(effects) = core.effects.collected() {
            (sent, closed) = (std::mem::take(&mut effects.sent), std::mem::take(&mut effects.closed));
            wanted = std::mem::take(&mut effects.wanted);
        }
        let failed = |error: StreamError| ErrorInfo::from_error(&error);
        streams.apply(sent, &closed, &wanted).map_err(failed)?;
        if !streams.wants() {
            return Ok(false);
        }
        self.resident.take_in().map_err(failed)?;
        Ok(self.resident.live.core().streams.as_ref().is_some_and(|streams| !streams.has_some()))
    }

    /// A process that ends closes its streams, and what is stored of them is not read any more when it has ended: so all of it leaves
    /// before. One that is killed does not wait for that.
    pub(super) fn closes_streams(&mut self) -> bool {
        let Some(joint) = self.resident.joint() else { return false };
        self.resident.forget_sent();
        let Some(streams) = self.resident.streams_mut() else { return false };
        streams.close_all();
        !joint.has_left(streams)
    }

    /// The plan of a boundary, or the one that comes before it: to end as soon as all has left.
    pub(in crate::runner) fn leave_first(&mut self, mut plan: Plan, children: &mut Vec<Child>) -> Plan {
        if self.resident.live.core().streams.is_none() || plan.ended.is_none() {
            return plan;
        }
        if self.resident.extra().is_some_and(|extra| extra.is_spoiled) {
            plan.keep = false;
        }
        if matches!(plan.ended, Some(Ended::Killed { .. })) {
            // As the children that it would have launched, and for what it leaves nobody would look after a crash.
            self.unsend();
            return plan;
        }
        if !plan.keep {
            children.clear();
            self.take_back();
        }
        if !self.closes_streams() {
            return plan;
        }
        if let Some(ended) = plan.ended.take() {
            self.resident.live.end_later(ended);
        }
        self.resident.waiting = None;
        self.resident.extra_mut().is_spoiled = !plan.keep;
        Plan { leaves: true, to: crate::process::ProcessState::Running, ..plan }
    }

    /// Tells the ends of the streams of a process that ends at once, for a moment: who receives from it would wait for ever. What takes
    /// longer goes on beside what follows.
    pub(in crate::runner) async fn farewell(&mut self) {
        if !self.closes_streams() {
            return;
        }
        self.give_back_slot();
        let Some(joint) = self.resident.joint() else { return };
        let Some(streams) = self.resident.streams_mut() else { return };
        joint.attend(streams);
        if tokio::time::timeout(limits::STREAM_FAREWELL, joint.left(streams)).await.is_err() {
            tracing::warn!(pid = %self.entry.pid(), "the ends of its streams are told later");
        }
    }
}
