//! Flows and the tags of frames.
use super::*;

#[test]
fn tags_are_pushed_and_popped() {
    let text = "in_port=1 actions=push_vlan:0x8100,set_field:4103->vlan_vid,output:2\n\
        in_port=3 actions=mod_vlan_vid:9,output:2\nin_port=4,dl_vlan=5 actions=pop_vlan,output:2\n\
        in_port=5 actions=push_vlan:0x8100,mod_vlan_vid:8,pop_vlan,output:2\n";
    let flows = flows(text);
    let tables = Tables::new(&flows);
    for (port, tag, vlan) in [(1, 0, 7), (3, 0, 9), (3, 0x3005, 9), (4, 0x1005, 0), (5, 0x1006, 6)]
    {
        let packet = packet(port, &[("vlan_tci", tag), ("eth_type", 0x0800)]);
        let paths = tables.run(&packet, Limits::default());
        let [path] = paths.as_slice() else { panic!("{paths:?}") };
        assert_eq!(path.effects[0].packet.vlan(), Some(vlan), "{port}");
    }
    assert_eq!(packet(1, &[]).vlan(), None);
}

#[test]
fn tags_are_put_around_one_another() {
    let mut frame = FlowPacket::arriving(1);
    frame.set(OfField::VlanTci, Value::of(0));
    let numbers = |frame: &FlowPacket| -> Vec<u128> {
        frame.tags().iter().map(|tag| tag.value & 0xfff).collect()
    };
    frame.push_tag();
    frame.set_vlan(5);
    assert_eq!(numbers(&frame), [5], "without a tag there is nothing below");
    frame.push_tag();
    frame.set_vlan(7);
    assert_eq!(numbers(&frame), [7, 5]);
    frame.push_tag();
    assert_eq!(numbers(&frame), [0, 7, 5]);
    frame.push_tag();
    assert_eq!(numbers(&frame), [0, 0, 7, 5]);
    frame.keep_tags(2);
    assert_eq!(numbers(&frame), [0, 0]);
    frame.pop_tag();
    frame.pop_tag();
    assert_eq!(frame.get(OfField::VlanTci).value, 0);
    // Where it is not known whether there is one, there may be one below.
    let mut open = FlowPacket::arriving(1);
    open.set(OfField::VlanTci, Value::UNKNOWN);
    open.push_tag();
    assert_eq!(open.tags().len(), 2);
}
