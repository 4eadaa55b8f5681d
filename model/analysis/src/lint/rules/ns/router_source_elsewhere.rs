use std::net::IpAddr;
use tapline_core::need::line_within;

use tapline_topology::{Presence, Topic};

use crate::lint::{Ctx, Verdicts, declare_rule};
use tapline_network::mesh;
use tapline_network::netfilter;
use tapline_network::router::{Duty, Router};

declare_rule! {
    code: "NS-010",
    id: "router-source-elsewhere",
    summary: "a router gives packets a source that none of its ports has",
    severity: Error,
    confidence: Proven,
    page: "router_source_elsewhere.md",
    layer: (L3, 35),
    rank: 455,
    about: [Neutron],
    cuts: [ToSwitch],
    asks: [],
    after: [
        [ns::netns_handle_stale] by [Netns],
        [ns::ns_port_not_wired] if GatewayPort by [Netns],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for router in Router::all(ctx) {
        let (host, netns) = (router.netns.host, router.netns.netns());
        if router.ports("qg-").next().is_none() {
            continue;
        }
        if mesh::is_cleaned(ctx, host) {
            out.cannot_tell(host, [mesh::NOT_CLEANED]);
            continue;
        }
        let Some(table) = ctx.filters().saved(host, netns, "nat") else {
            match ctx.missing(host, netns, &[Topic::Netfilter]) {
                missing if missing.is_empty() => out.clean(),
                missing => out.cannot_tell(host, missing),
            }
            continue;
        };
        match router.duty(ctx) {
            Duty::Serves => {}
            // Addresses come with the turn.
            Duty::Waits => continue,
            Duty::Unknown(missing) => {
                out.cannot_tell(host, missing);
                continue;
            }
        }
        for (source, rule) in netfilter::sources(table) {
            match ctx.topology.address_presence(host, netns, IpAddr::V4(source)) {
                Presence::Yes(_) => out.clean(),
                Presence::Unknown(missing) => out.cannot_tell(host, missing),
                Presence::No(searched) => {
                    let message = format!(
                        "what leaves the router gets the source {source}, which none of its ports has: no answer comes back"
                    );
                    let finding = out.fault(ctx, host, router.netns.id, message);
                    finding.at(router.netns.id, Some(netns));
                    finding.primary(table.line(rule), "the source");
                    for port in router.ports("qg-") {
                        for address in ctx.addresses_of(port.id) {
                            finding.context(address.line(), "an address outside that it has");
                        }
                    }
                    finding.rests_on_absence(searched);
                    finding.next(line_within(netns, "iptables-save -t nat"));
                    finding.next(format!(
                        "openstack router show {} -c external_gateway_info",
                        router.id()
                    ));
                    finding.next("systemctl restart neutron-l3-agent");
                }
            }
        }
    }
}
