//! What queues, filters and programs at a device do with a frame (`tc`, BPF).
use tapline_core::need::Need;
use tapline_core::span::Evidence;
use tapline_topology::{NodeId, Topic};

use crate::queues::{self, AtDevice, Does, Hook, Untold, Verdict, What};

use super::device::Device;
use super::{At, Doubt, Hop, Kind, Outcome, Place, Reason, Walk, Way};

impl<'a> Walk<'_, '_, 'a> {
    /// Passes the programs and filters of a hook; `false` where they end the way or lead it elsewhere.
    /// Where it is not known what they do, the way goes on behind a fork.
    pub(super) fn pass_queues(&mut self, way: &mut Way, device: Device<'a>, hook: Hook) -> bool {
        let network = self.network;
        if let Some(untold) = network.queues().untold(network, device, hook)
            && !self.pass_untold(way, device, untold)
        {
            return false;
        }
        let Some(at) = network.queues().at(device.id) else { return true };
        let place = self.place(device.id);
        if let Some(evidence) = at.program(hook) {
            let text = "a program of BPF at the device decides";
            self.may_do_anything(way, &place, (Reason::Ebpf, text), evidence, Vec::new());
        }
        let mut verdict = at.judge(hook, &way.packet, network.interface_of(device.id).is_some());
        for text in &verdict.assumed {
            way.assume(text);
        }
        if !self.pass_ifb(way, device, &mut verdict) {
            return false;
        }
        if !self.take_verdict(way, device, hook, verdict) {
            return false;
        }
        if let Some(evidence) = at.hook(hook).filter(|_| !at.is_whole(hook)) {
            if let Some(text) = network.queues().explain_hook(network, device.id, hook) {
                way.assume(text);
                return true;
            }
            let need = Need::command("tc filter show dev").with(device.name());
            let need = need.with(hook.as_str()).within(device.netns());
            let text = "the device has a hook for filters of tc, and they were not captured";
            let said = (Reason::NotCaptured, text);
            self.may_do_anything(way, &place, said, evidence, vec![need]);
        }
        hook != Hook::Queue || self.leave_queue(way, &place, at)
    }

    /// Passes a hook of which no text tells; `false` where that ends the way.
    fn pass_untold(&mut self, way: &mut Way, device: Device<'a>, untold: Untold) -> bool {
        let place = self.place(device.id);
        match untold {
            Untold::Nothing => {
                if !way.queues_said.contains(&device.host) {
                    way.queues_said.push(device.host);
                    way.assume(&queues::assumption(self.network, device.host));
                }
                true
            }
            Untold::Blackhole(evidence) => {
                self.lost(way, Outcome::Dropped, Reason::QueueLoss, place, Some(evidence));
                false
            }
            Untold::Loses(evidence) => {
                let needs = vec![
                    Need::command("tc -s qdisc show dev")
                        .with(device.name())
                        .within(device.netns()),
                ];
                self.may_stop_at(way, place, Reason::QueueLoss, needs, vec![evidence]);
                true
            }
            Untold::Program(evidence) => {
                let text = "programs of BPF lead what passes here";
                let needs = vec![Need::command("bpftool net list").within(device.netns())];
                self.may_do_anything(way, &place, (Reason::Ebpf, text), evidence, needs);
                true
            }
        }
    }

    /// What a queue itself loses.
    fn leave_queue(&mut self, way: &mut Way, place: &Place, at: &AtDevice<'a>) -> bool {
        for queue in at.lossy() {
            let record = queue.record;
            let share = record.loss.as_ref().map_or("100%", |loss| &*loss.value);
            let span = record.loss.as_ref().map_or(record.at, |loss| loss.span);
            let evidence = Evidence { source: queue.source, span };
            let all = share.trim_end_matches('%').parse::<f32>().is_ok_and(|share| share >= 100.0);
            match (all, record.parent.is_none()) {
                (true, true) => {
                    self.lost(
                        way,
                        Outcome::Dropped,
                        Reason::QueueLoss,
                        place.clone(),
                        Some(evidence),
                    );
                    return false;
                }
                (true, false) => {
                    let at = vec![evidence];
                    self.may_stop_at(way, place.clone(), Reason::QueueLoss, Vec::new(), at);
                }
                (false, _) => {
                    let share = if share.ends_with('%') { share } else { "some" };
                    way.assume(&format!(
                        "it is not among the {share} of packets that the queue loses"
                    ));
                }
            }
        }
        true
    }

    /// A device of the kind `ifb` is a queue for what another receives: it hands everything back
    /// (drivers/net/ifb.c, `ifb_ri_tasklet`).
    fn pass_ifb(&mut self, way: &mut Way, device: Device<'a>, verdict: &mut Verdict) -> bool {
        let network = self.network;
        let find = |does: &Does| match &does.what {
            What::Redirect { device: to, received: false } => {
                let target = network.netdev_called(device.host, device.netns(), to)?;
                let mut kinds = target.records.iter().filter_map(|seen| seen.record.kind.as_ref());
                kinds.any(|kind| kind.value == "ifb").then_some(target)
            }
            _ => None,
        };
        let Some(ifb) = verdict.does.iter().find_map(find) else { return true };
        verdict.does.retain(|does| find(does).is_none());
        verdict.passes = true;
        let place = self.place(ifb.id);
        match network.queues().at(ifb.id) {
            Some(at) => self.leave_queue(way, &place, at),
            None => true,
        }
    }

    /// Something may do whatever it likes with the frame. Goes on with the way on which it lets it pass.
    fn may_do_anything(
        &mut self,
        way: &mut Way,
        place: &Place,
        (reason, text): (Reason, &str),
        evidence: Evidence,
        needs: Vec<Need>,
    ) {
        let doubt = Doubt {
            reason,
            text: text.to_owned(),
            place: place.clone(),
            next: Self::next(place, needs.clone()),
            evidence: vec![evidence],
        };
        self.fork(way, doubt);
        let mut other = Self::branch(way, "it does something else");
        self.unknown_at(&mut other, place.clone(), (reason, text), needs, evidence);
        way.guard = Some("it passes".to_owned());
    }

    /// Does what filters say; whether the way goes on.
    fn take_verdict(
        &mut self,
        way: &mut Way,
        device: Device<'a>,
        hook: Hook,
        verdict: Verdict,
    ) -> bool {
        let passes = verdict.passes;
        let place = self.place(device.id);
        let Some(first) = verdict.does.first() else { return passes };
        if passes || verdict.does.len() > 1 {
            let (reason, text) = match &first.what {
                What::Unknown(reason) => (*reason, first.text.clone()),
                _ => (Reason::NotModelled, format!("{}, if it meets it", first.text)),
            };
            let evidence = vec![first.evidence];
            let doubt = Doubt { reason, text, place: place.clone(), next: Vec::new(), evidence };
            self.fork(way, doubt);
        }
        let forks = passes || verdict.does.len() > 1;
        for does in &verdict.does {
            let mut one = if forks { Self::branch(way, does.text.clone()) } else { way.clone() };
            let before = one.packet.clone();
            let action = format!("tc {}: {}", hook.as_str(), does.text);
            let mut hop = Hop::new(Kind::Device, place.clone(), action);
            hop.input = Some(device.name().into());
            hop.cite(Some(does.evidence));
            match &does.what {
                What::Drop => {
                    self.hop(&mut one, &before, hop);
                    let at = Some(does.evidence);
                    self.lost(&mut one, Outcome::Dropped, Reason::TcDrop, place.clone(), at);
                }
                What::Unknown(reason) => {
                    let said = (*reason, does.text.as_str());
                    self.unknown_at(&mut one, place.clone(), said, Vec::new(), does.evidence);
                }
                What::Redirect { device: to, received } => {
                    hop.output = Some(to.clone());
                    self.hop(&mut one, &before, hop);
                    self.redirect(one, device, to, *received);
                }
            }
        }
        if passes {
            way.guard = Some("it passes the filters".to_owned());
        }
        passes
    }

    /// A filter hands a frame to another device.
    fn redirect(&mut self, mut way: Way, from: Device<'a>, to: &str, received: bool) {
        let Some(target) = self.network.netdev_called(from.host, from.netns(), to) else {
            let needs = self.network.missing(from.host, from.netns(), &[Topic::Links]);
            self.unknown(&mut way, self.place(from.id), Reason::NotCaptured, needs);
            return;
        };
        if self.goes_round(&mut way, target.id) {
            return;
        }
        let at: fn(NodeId) -> At = if received { At::Receive } else { At::Send };
        self.go(way, at(target.id));
    }

    /// An end behind which nothing is known, with the line that leaves it open.
    pub(super) fn unknown_at(
        &mut self,
        way: &mut Way,
        place: Place,
        (reason, text): (Reason, &str),
        needs: Vec<Need>,
        evidence: Evidence,
    ) {
        self.unknown(way, place, reason, needs);
        if let Some(super::Node { part: super::Part::End(end), .. }) = self.tree.nodes.last_mut() {
            text.clone_into(&mut end.text);
            end.evidence.push(evidence);
        }
    }
}
