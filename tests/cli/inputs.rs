//! What all commands do with inputs that are missing, empty or garbage.
use super::{Folder, HEALTHY, pipe, run};

#[test]
fn a_wrong_path_names_the_path_and_the_way_out() {
    let ran = run(["lint", "/no/such/capture"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    assert!(
        ran.err.starts_with("error: cannot read /no/such/capture: No such file"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("\nhint: "), "{}", ran.err);
    assert!(!ran.err.contains("os error"), "{}", ran.err);
}

#[test]
fn an_empty_folder_is_an_error() {
    let folder = Folder::new(&[]);
    for command in ["lint", "records", "coverage", "graph"] {
        let ran = run([command, &folder.join("")]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{command}");
        assert!(ran.err.starts_with("error: "), "{}", ran.err);
    }
}

#[test]
fn garbage_is_an_error_and_not_a_healthy_host() {
    let folder = Folder::new(&[]);
    // A fixed generator: the bytes are the same in every run.
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_le_bytes()[5]
    })
    .take(20_000)
    .collect();
    let path = folder.add("noise.bin", &noise).display().to_string();
    let images = folder.add("pictures/a.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    let images = images.parent().expect("a folder").display().to_string();
    for input in [path, images] {
        let ran = run(["lint", &input]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{input}: {}", ran.err);
        assert!(ran.err.starts_with("error: ") && ran.err.contains("hint: "), "{}", ran.err);
    }
}

#[test]
fn standard_input_is_read() {
    let ran = pipe(["records", "-"], HEALTHY);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(ran.json()["records"][0]["name"], "lo");
}

#[test]
fn an_unknown_command_after_as_is_told() {
    let ran = pipe(["records", "--as", "brctl shwo", "-"], "x\n");
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("`brctl shwo`"), "{}", ran.err);
    assert!(ran.err.contains("did you mean --as 'brctl show'?"), "{}", ran.err);
}

#[test]
fn a_bad_size_is_told() {
    let ran = run(["lint", "--max-kept-size", "lots", "x"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("such as 64K, 256M or 2G"), "{}", ran.err);
}
