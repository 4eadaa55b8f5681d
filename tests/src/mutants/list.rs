//! The mutants that each version has to notice, by crate, the lowest first.
use super::Mutant;

const CORE: &str = "-p tapline-core --lib";
const CAPTURE: &str = "-p tapline-capture --lib --test archives";
const FORMATS: &str = "-p tapline-formats --lib";
const TOPOLOGY: &str = "-p tapline-topology --test topology";
const L2: &str = "-p tapline-network --test l2";
const PATH: &str = "-p tapline-network --test path";
const ROUTES: &str = "-p tapline-network --lib l3";
const DOUBT: &str = "-p tapline-analysis --test doubt";

/// All of them.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "spans end one byte early",
        file: "model/core/src/span.rs",
        text: "end: offset(start + part.len())",
        instead: "end: offset((start + part.len()).saturating_sub(1))",
        test: CORE,
    },
    Mutant {
        name: "lines are counted from the next one",
        file: "model/core/src/span.rs",
        text: "u32::try_from(after.saturating_sub(1))",
        instead: "u32::try_from(after)",
        test: CORE,
    },
    Mutant {
        name: "a text in a part is taken to be complete",
        file: "model/core/src/capture.rs",
        text: "*self == Self::Complete",
        instead: "!self.is_failed()",
        test: CORE,
    },
    Mutant {
        name: "the better of two verdicts on a text counts",
        file: "model/core/src/capture.rs",
        text: "(Self::Failed(_), _) | (_, Self::Complete) => self,",
        instead: "(Self::Failed(_), _) => other,\n            (_, Self::Complete) => self,",
        test: CORE,
    },
    Mutant {
        name: "archives may grow out of all proportion",
        file: "parsers/capture/src/archive/decode.rs",
        text: "self.out > FREE && self.out > paid",
        instead: "self.out > FREE && self.out > paid && n > to.len()",
        test: CAPTURE,
    },
    Mutant {
        name: "a text that sos cut off is taken to be complete",
        file: "parsers/capture/src/listed.rs",
        text: "_ if self.truncated => {",
        instead: "_ if self.truncated && empty => {",
        test: CAPTURE,
    },
    Mutant {
        name: "the complaint of a tool is taken for its output",
        file: "parsers/formats/src/lines.rs",
        text: ".map(Completeness::Failed);",
        instead: ".map(Completeness::Failed)\n            .filter(Completeness::is_complete);",
        test: FORMATS,
    },
    Mutant {
        name: "`! -i` is read as `-i`",
        file: "parsers/formats/src/formats/netfilter.rs",
        text: "            reader.not = true;\n",
        instead: "",
        test: FORMATS,
    },
    Mutant {
        name: "`-i ! lo` is read as `-i lo`",
        file: "parsers/formats/src/formats/netfilter.rs",
        text: "            self.not = !self.not;\n",
        instead: "",
        test: FORMATS,
    },
    Mutant {
        name: "answers in a part prove absence",
        file: "model/topology/src/coverage.rs",
        text: "matches!(self, Self::Complete(_))",
        instead: "matches!(self, Self::Complete(_) | Self::Partial(_))",
        test: TOPOLOGY,
    },
    Mutant {
        name: "guesses of veth pairs are called proven",
        file: "model/topology/src/link/veth.rs",
        text: "if self.all_captured { Confidence::Proven } else { Confidence::Inferred }",
        instead: "Confidence::Proven",
        test: TOPOLOGY,
    },
    Mutant {
        name: "the XML of the next start goes before the one that runs",
        file: "model/topology/src/link/vm.rs",
        text: "(!it.live, source.id)",
        instead: "(it.live, source.id)",
        test: TOPOLOGY,
    },
    Mutant {
        name: "routes of policy rules that refuse are not seen",
        file: "model/network/src/l3/walk.rs",
        text: "if let Some(refusal) = Refusal::of(action) {",
        instead: "if let Some(refusal) = Refusal::of(action).filter(|_| next == 0) {",
        test: ROUTES,
    },
    Mutant {
        name: "the shortest prefix is taken",
        file: "model/network/src/l3/table.rs",
        text: "            lengths.reverse();\n",
        instead: "",
        test: ROUTES,
    },
    Mutant {
        name: "the next hops of multipath routes are not seen",
        file: "model/network/src/l3/table.rs",
        text: "std::iter::once(own).chain(several)",
        instead: "std::iter::once(own).chain(several.take(0))",
        test: ROUTES,
    },
    Mutant {
        name: "one MAC in common makes one machine",
        file: "model/core/src/host.rs",
        text: "const COMMON_NICS: usize = 2;",
        instead: "const COMMON_NICS: usize = 1;",
        test: L2,
    },
    Mutant {
        name: "the ports of the dead VLAN are joined",
        file: "model/network/src/l2/domain.rs",
        text: "(vlan != DEAD_VLAN).then_some(",
        instead: "(vlan <= DEAD_VLAN).then_some(",
        test: L2,
    },
    Mutant {
        name: "paths to guests do not ask for the VLAN behind the integration bridge",
        file: "model/network/src/path/frame.rs",
        text: "from == at || network.exits().may_carry(bridge.host, vlan, from)",
        instead: "from == at || network.exits().may_carry(bridge.host, vlan, from) || vlan > 0",
        test: PATH,
    },
    Mutant {
        name: "paths to the wire do not ask for the VLAN behind the integration bridge",
        file: "model/network/src/path/frame.rs",
        text: "network.exits().reached(bridge.host, vlan).contains(&exit)\n",
        instead: "!network.exits().reached(bridge.host, vlan).is_empty()\n",
        test: PATH,
    },
    Mutant {
        name: "the own device of a bridge does not lead into it",
        file: "model/network/src/steps.rs",
        text: "let own = side == Side::Nowhere && towards == Towards::Wire;",
        instead: "let own = side == Side::Nowhere && towards == Towards::Guests;",
        test: PATH,
    },
    Mutant {
        name: "findings on lines that were cut off are kept",
        file: "model/analysis/src/lint/engine/run.rs",
        text: "        withdraw(&mut verdicts, &ctx);\n",
        instead: "",
        test: DOUBT,
    },
    Mutant {
        name: "what may have come between two texts is proven to be missing",
        file: "model/analysis/src/lint/engine/run.rs",
        text: "        doubt_absence(&mut findings, &ctx);\n",
        instead: "",
        test: DOUBT,
    },
    Mutant {
        name: "the condition of a rule is turned round",
        file: "model/analysis/src/lint/rules/tun/tun_local_ip_missing.rs",
        text: "if !elsewhere && !local.value.is_unspecified() {",
        instead: "if elsewhere && !local.value.is_unspecified() {",
        test: DOUBT,
    },
];
