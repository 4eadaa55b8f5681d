//! Texts of flows and connections that are known, by commits of flows or by the tracker.
use super::*;

#[test]
fn answers_are_translated_back_and_read_what_was_written_of_their_connection() {
    let ends = |from: (u128, u128), to: (u128, u128)| {
        packet(
            1,
            &[
                ("eth_type", 0x0800),
                ("nw_proto", 6),
                ("vlan_tci", 0),
                ("ip_src", from.0),
                ("tp_src", from.1),
                ("ip_dst", to.0),
                ("tp_dst", to.1),
            ],
        )
    };
    let (client, public, own) = ((0x0a00_0005, 5000), (0xc000_0250, 443), (0x0a09_0004, 8443));
    let made = |flow: &str| {
        let flows = flows(flow);
        let mut new = ends(client, public);
        new.next_state = Some(1);
        let paths = Tables::new(&flows).run(&new, Limits::default());
        std::sync::Arc::new(paths[0].made.clone())
    };
    let plain = made("actions=ct(commit,zone=7),output:2\n");
    let translated = made(
        "actions=ct(commit,zone=7,nat(dst=10.9.0.4:8443),exec(set_field:0x9->ct_mark)),output:2\n",
    );
    assert_eq!((plain.len(), translated.len()), (1, 1));
    let back = "nw_src=192.0.2.80,tp_src=443";
    let kept = "nw_src=10.9.0.4,tp_src=8443";
    let (of_server, of_public) = (ends(own, client), ends(public, client));
    for (answer, made, asked, met, goes) in [
        (&of_server, &translated, "ct(table=1,zone=7,nat)", format!("tcp,{back}"), true),
        (&of_server, &translated, "ct(table=1,zone=7,nat)", format!("tcp,{kept}"), false),
        (&of_server, &translated, "ct(table=1,zone=7,nat)", "tcp,ct_mark=0x9".to_owned(), true),
        (&of_server, &translated, "ct(table=1,zone=7,nat)", "tcp,ct_mark=0".to_owned(), false),
        // Nothing is translated unless that is asked for, and the mark is read all the same.
        (&of_server, &translated, "ct(table=1,zone=7)", format!("tcp,{kept}"), true),
        (&of_server, &translated, "ct(table=1,zone=7)", "tcp,ct_mark=0x9".to_owned(), true),
        // Another zone, or another connection.
        (&of_server, &translated, "ct(table=1,zone=8,nat)", format!("tcp,{kept}"), true),
        (&of_server, &translated, "ct(table=1,zone=8,nat)", "tcp,ct_mark=0x9".to_owned(), false),
        (&of_public, &translated, "ct(table=1,zone=7,nat)", format!("tcp,{back}"), true),
        (&of_public, &translated, "ct(table=1,zone=7,nat)", "tcp,ct_mark=0x9".to_owned(), false),
        (&of_public, &plain, "ct(table=1,zone=7,nat)", format!("tcp,{back}"), true),
        (&of_public, &plain, "ct(table=1,zone=7,nat)", "tcp,ct_mark=0".to_owned(), true),
    ] {
        let mut answer = answer.clone();
        answer.next_state = Some(2 | 8);
        answer.next_mark = Some(0);
        answer.answers = Some(made.clone());
        let text = format!(
            "ct_state=-trk actions={asked}\ntable=1,priority=9,{met} actions=output:3\ntable=1,priority=0 actions=drop\n"
        );
        let found = walks(&answer, &text);
        let sure = if goes { "0[32768] 1[9] > Port(3)" } else { "0[32768] 1[0] >" };
        assert_eq!(found, [sure], "{asked} {met}");
    }
}

#[test]
fn what_is_tracked_already_decides_in_its_zone() {
    let asked = |zone: u16, state: Option<u128>, mark: Option<u32>, met: &str| {
        let mut known = packet(1, TCP);
        known.next_state = Some(1);
        known.tracked = vec![Tracked { zone, state, mark, translated: false }];
        let text = format!(
            "ct_state=-trk actions=ct(table=1,zone=7)\ntable=1,priority=9,{met} actions=output:3\ntable=1,priority=0 actions=drop\n"
        );
        walks(&known, &text)
    };
    let (goes, stays) = (vec!["0[32768] 1[9] > Port(3)"], vec!["0[32768] 1[0] >"]);
    let open = vec!["0[32768] 1[9] > Port(3) ?", "0[32768] 1[0] > ?"];
    for (zone, state, mark, met, expected) in [
        (7, Some(2), Some(5), "ct_state=+est", &goes),
        (7, Some(2), Some(5), "ct_state=+new", &stays),
        (7, Some(2), Some(5), "ct_state=-rpl", &goes),
        (7, Some(2 | 8), Some(5), "ct_state=+rpl", &goes),
        (7, Some(2), Some(5), "ct_mark=5", &goes),
        (7, Some(2), Some(5), "ct_mark=6", &stays),
        (7, Some(2), None, "ct_mark=5", &open),
        // Labels are not listed; a new connection has none.
        (7, Some(2), Some(5), "ct_label=1", &open),
        (7, Some(1), Some(0), "ct_label=1", &stays),
        (7, None, None, "ct_state=+est", &open),
        // Of another zone the question decides.
        (8, Some(2), Some(5), "ct_state=+est", &stays),
        (8, Some(2), Some(5), "ct_state=+new", &goes),
        (8, Some(2), Some(5), "ct_mark=0", &goes),
    ] {
        assert_eq!(&asked(zone, state, mark, met), expected, "{zone} {state:?} {mark:?} {met}");
    }
}
