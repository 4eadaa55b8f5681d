use super::*;

fn show(text: &str) -> Vec<String> {
    read(text)
        .blocks
        .into_iter()
        .map(|block| {
            let partial = block.partial.map(|partial| format!(" ({partial})")).unwrap_or_default();
            format!(
                "{} {} {}:{} {:?}{partial}",
                block.host.unwrap_or_default(),
                block.run.netns,
                block.first_line,
                block.run.command,
                block.text
            )
        })
        .collect()
}

const TABLE: &str = "bridge name\tbridge id\t\tSTP enabled\tinterfaces\n";

#[test]
fn prompts_split_a_session() {
    let text = format!(
        "Some words first.\r\n[root@node2 ~]# brctl show\r\n{TABLE}\
         [root@node2 ~]# ls\nx\n\
         root@node3:~$ sudo ip netns exec blue brctl show | grep br\n{TABLE}\
         \u{1b}[01;32m(venv) me@node3\u{1b}[00m:\u{1b}[01;34m/tmp\u{1b}[00m$ exit\n"
    );
    assert_eq!(
        show(&text),
        [
            format!("node2 root 3:brctl show {TABLE:?}"),
            format!("node3 blue 7:brctl show {TABLE:?} (filtered by `grep br`)"),
        ]
    );
}

#[test]
fn a_hash_needs_a_known_command() {
    let text = format!(
        "# what the bridges look like\n# brctl show\n{TABLE}\nThis is what it says, all of it.\n\
         ```\n$ brctl show\n{TABLE}...\n```\n# brctl addbr x\n"
    );
    let shown = show(&text);
    assert_eq!(
        shown,
        [
            format!(" root 3:brctl show {TABLE:?}"),
            format!(" root 8:brctl show {TABLE:?} (part of the output was left out)"),
        ]
    );
}

#[test]
fn a_hash_before_an_action_of_a_tool_ends_a_file() {
    let network = "<network>\n  <name>router</name>\n</network>\n";
    let file = "/etc/libvirt/qemu/networks/router.xml";
    let text = format!(
        "# cat {file}\n{network}\n# virsh net-define {file}\nNetwork router defined from {file}\n\n\
         # virsh net-start router\nNetwork router started\n"
    );
    assert_eq!(show(&text), [format!(" root 2:cat {file} {network:?}")]);
    // A comment within a file is no command.
    let text = format!("# cat {file}\n# virsh networks look odd here\n{network}");
    assert_eq!(show(&text).len(), 1);
}

#[test]
fn an_empty_answer_counts_only_between_prompts() {
    let text = "[a@h ~]# brctl show\n[a@h ~]# brctl show | grep x\n[a@h ~]# brctl show\n\n\
                [a@h ~]# brctl show\n";
    assert_eq!(
        show(text),
        ["h root 2:brctl show \"\"", "h root 4:brctl show \"\" (no output was pasted)"]
    );
}

#[test]
fn a_text_that_ends_within_a_line_leaves_its_output_open() {
    let cut = "[a@h ~]# brctl show\nbridge name\tbridge id\t\tSTP enabled\tinterfaces\nbr0\t\t80";
    let texts = |text: &str| -> Vec<bool> {
        read(text).blocks.iter().map(|block| block.text.ends_with('\n')).collect()
    };
    assert_eq!(texts(cut), [false]);
    assert_eq!(texts(&format!("{cut}\n")), [true]);
    assert_eq!(texts(&format!("{cut}\n[a@h ~]#")), [true]);
}

#[test]
fn a_shell_in_a_namespace_is_followed() {
    let text = format!(
        "[a@h ~]# ip netns exec blue bash\n[a@h ~]# brctl show\n{TABLE}[a@h ~]# exit\n\
         [a@h ~]# brctl show\n{TABLE}"
    );
    let shown = show(&text);
    assert!(shown[0].starts_with("h blue 3:"), "{shown:?}");
    assert!(shown[1].starts_with("h root 6:"), "{shown:?}");
}

#[test]
fn outputs_of_commands_pasted_together_may_begin_behind_a_prompt() {
    let list = "1: lo: <LOOPBACK,UP> mtu 65536\n    link/loopback 00:00:00:00:00:00\n";
    for text in [
        format!("[a@h ~]# brctl show\nip a\n{TABLE}[a@h ~]# {list}[a@h ~]#\n"),
        format!("brctl show\nip a\n{TABLE}{list}"),
    ] {
        let shown = show(&text);
        assert!(shown.iter().any(|block| block.contains(":brctl show ")), "{shown:?}");
        let listed = |block: &String| block.contains(":ip a ") && block.contains("1: lo");
        assert!(shown.iter().any(listed), "{shown:?}");
    }
}

#[test]
fn what_runs_elsewhere_is_told_even_where_it_is_not_understood() {
    let told = |typed: &str| {
        let text = format!("root@h:~# {typed}\n1: lo: <UP> mtu 65536 state UNKNOWN\nroot@h:~# \n");
        let session = read(&text);
        (session.blocks.len(), session.elsewhere)
    };
    assert_eq!(told("ip a"), (1, false));
    assert_eq!(told("salt kvm9 cmd.run 'ip a'"), (0, true));
    assert_eq!(told("docker exec web ip a"), (1, false));
    // An alias prints what it stands for.
    assert_eq!(told("ipa"), (1, false));
}
