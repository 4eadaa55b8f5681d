//! `cargo dev dist`: what is handed out, built and tried: a static binary in a tarball, a deb, an rpm, a wheel.
//!
//! A tool that is not there is named with the command that installs it, and what needs it is left out.
#![expect(clippy::disallowed_methods, reason = "the chores write files")]
#![expect(clippy::print_stdout, reason = "it tells what it does while it does it")]
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::scaffold::root;

/// What binaries are built for: linked to nothing of the system that they run on.
const TARGET: &str = "x86_64-unknown-linux-musl";
/// The settings for what is handed out.
pub const PROFILE: &str = "release";
/// Shells with a script for completions, and what its file is called.
const SHELLS: &[(&str, &str)] =
    &[("bash", "tapline.bash"), ("zsh", "_tapline"), ("fish", "tapline.fish")];

/// A tool, and how to get it.
struct Tool {
    /// Asks it for its version.
    try_it: &'static [&'static str],
    install: &'static str,
}

const DEB: Tool =
    Tool { try_it: &["cargo", "deb", "--version"], install: "cargo install cargo-deb --locked" };
const RPM: Tool = Tool {
    try_it: &["cargo", "generate-rpm", "--version"],
    install: "cargo install cargo-generate-rpm --locked",
};
const WHEEL: Tool = Tool { try_it: &["maturin", "--version"], install: "pip install maturin" };
const C: Tool = Tool { try_it: &["musl-gcc", "--version"], install: "apt-get install musl-tools" };

/// Builds and tries everything; says what was left out.
///
/// # Errors
///
/// When the binary cannot be built, or something that was built does not run.
pub fn build(folder: &Path, profile: &str) -> anyhow::Result<String> {
    require_target()?;
    ensure!(C.is_there(), "no C compiler for musl: {}", C.install);
    fs::create_dir_all(folder)?;
    let binary = binary(profile)?;
    check_static(&binary)?;
    try_binary(&binary)?;
    beside(folder, &binary)?;
    let mut said = vec![tarball(folder, &binary)?];
    said.push(made(&DEB, "deb", || deb(folder, profile))?);
    said.push(made(&RPM, "rpm", || rpm(folder, profile))?);
    said.push(made(&WHEEL, "wheel", || wheel(folder, profile))?);
    Ok(said.join("\n"))
}

impl Tool {
    fn is_there(&self) -> bool {
        let Some((program, args)) = self.try_it.split_first() else { return false };
        let tried = Command::new(program).args(args).output();
        tried.is_ok_and(|tried| tried.status.success())
    }
}

fn made(
    tool: &Tool,
    what: &str,
    make: impl FnOnce() -> anyhow::Result<String>,
) -> anyhow::Result<String> {
    if tool.is_there() {
        println!("making the {what}");
        return make().with_context(|| format!("the {what}"));
    }
    Ok(format!("{what}: left out, for its tool is not there: {}", tool.install))
}

/// The standard library for musl has to be there: cargo's own words for that help nobody.
fn require_target() -> anyhow::Result<()> {
    let output =
        Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output()?;
    let folder = String::from_utf8(output.stdout)?;
    let is_there = fs::read_dir(folder.trim()).is_ok_and(|mut all| all.next().is_some());
    ensure!(is_there, "no standard library for {TARGET}: rustup target add {TARGET}");
    Ok(())
}

/// Runs a program in the repository; its output is seen.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.current_dir(root()).status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// What a program prints.
fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn binary(profile: &str) -> anyhow::Result<PathBuf> {
    println!("building for {TARGET}; this takes minutes");
    let mut cargo = Command::new("cargo");
    cargo.args([
        "build",
        "--locked",
        "--package",
        "tapline",
        "--profile",
        profile,
        "--target",
        TARGET,
    ]);
    run(for_musl(&mut cargo))?;
    Ok(target().join(TARGET).join(profile).join("tapline"))
}

/// C is compiled for musl, too.
fn for_musl(command: &mut Command) -> &mut Command {
    command.env("CC_x86_64_unknown_linux_musl", "musl-gcc")
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Whether an ELF file asks for no interpreter, and so for nothing of the system.
fn check_static(binary: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(binary)?;
    let loader = b"/ld-";
    let head = bytes.get(..4096).unwrap_or(&bytes);
    let asks = head.windows(loader.len()).any(|part| part == loader);
    ensure!(!asks, "{} is not static", binary.display());
    Ok(())
}

/// Runs the program without an environment: its version, and the main job of the README.
fn try_binary(binary: &Path) -> anyhow::Result<()> {
    let version = said(Command::new(binary).env_clear().arg("--version"))?;
    ensure!(version.starts_with("tapline "), "it says {version}");
    let capture = root().join("corpus/captures/node2");
    let mut lint = Command::new(binary);
    let output = lint.env_clear().arg("lint").arg(capture).output()?;
    // Faults were found, which on this capture is right.
    ensure!(output.status.code() == Some(1), "lint ended with {}", output.status);
    ensure!(String::from_utf8_lossy(&output.stdout).contains("OVS-001"), "lint found nothing");
    println!("{} runs: {}", binary.display(), version.trim());
    Ok(())
}

/// Pages of the manual and scripts for completions, made by the program itself.
fn beside(folder: &Path, binary: &Path) -> anyhow::Result<()> {
    let pages = folder.join("man");
    let scripts = folder.join("completions");
    fs::create_dir_all(&pages)?;
    fs::create_dir_all(&scripts)?;
    fs::write(pages.join("tapline.1"), said(Command::new(binary).arg("man"))?)?;
    for command in tapline::command().get_subcommands() {
        let name = command.get_name();
        let page = said(Command::new(binary).args(["man", name]))?;
        fs::write(pages.join(format!("tapline-{name}.1")), page)?;
    }
    for (shell, file) in SHELLS {
        fs::write(scripts.join(file), said(Command::new(binary).args(["completions", shell]))?)?;
    }
    Ok(())
}

fn tarball(folder: &Path, binary: &Path) -> anyhow::Result<String> {
    let top = format!("tapline-{}-{TARGET}", env!("CARGO_PKG_VERSION"));
    let path = folder.join(format!("{top}.tar.xz"));
    let packed = liblzma::write::XzEncoder::new(fs::File::create(&path)?, 6);
    let mut tar = tar::Builder::new(packed);
    tar.append_path_with_name(binary, format!("{top}/tapline"))?;
    for file in ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        tar.append_path_with_name(root().join(file), format!("{top}/{file}"))?;
    }
    for name in ["man", "completions"] {
        tar.append_dir_all(format!("{top}/{name}"), folder.join(name))?;
    }
    tar.into_inner()?.finish()?;
    let place = tempfile::tempdir()?;
    let unpacked = liblzma::read::XzDecoder::new(fs::File::open(&path)?);
    tar::Archive::new(unpacked).unpack(place.path())?;
    try_binary(&place.path().join(top).join("tapline"))?;
    Ok(format!("tarball: {}", path.display()))
}

fn deb(folder: &Path, profile: &str) -> anyhow::Result<String> {
    let mut cargo = Command::new("cargo");
    cargo.args(["deb", "--no-build", "--no-strip", "--package", "tapline", "--target", TARGET]);
    run(cargo.args(["--profile", profile, "--output"]).arg(folder))?;
    let path = newest(folder, "deb")?;
    let place = tempfile::tempdir()?;
    said(Command::new("dpkg-deb").arg("--extract").arg(&path).arg(place.path()))?;
    try_binary(&place.path().join("usr/bin/tapline"))?;
    Ok(format!("deb: {}", path.display()))
}

fn rpm(folder: &Path, profile: &str) -> anyhow::Result<String> {
    let mut cargo = Command::new("cargo");
    cargo.args(["generate-rpm", "--package", "cli", "--target", TARGET, "--profile", profile]);
    run(cargo.arg("--output").arg(folder))?;
    let path = newest(folder, "rpm")?;
    let with_rpm = Command::new("rpm").arg("--version").output();
    if !with_rpm.is_ok_and(|tried| tried.status.success()) {
        return Ok(format!("rpm: {} (not tried, for there is no rpm)", path.display()));
    }
    let place = tempfile::tempdir()?;
    let mut install = Command::new("rpm");
    install.args(["--install", "--nodeps", "--noscripts", "--root"]).arg(place.path());
    said(install.arg(&path))?;
    try_binary(&place.path().join("usr/bin/tapline"))?;
    Ok(format!("rpm: {}", path.display()))
}

fn wheel(folder: &Path, profile: &str) -> anyhow::Result<String> {
    let mut maturin = Command::new("maturin");
    maturin.args(["build", "--profile", profile, "--target", TARGET, "--out"]).arg(folder);
    // Linked to nothing, it runs with any C library.
    maturin.args(["--compatibility", "manylinux2014", "--auditwheel", "skip"]);
    run(for_musl(&mut maturin))?;
    let path = newest(folder, "whl")?;
    let place = tempfile::tempdir()?;
    said(Command::new("python3").args(["-m", "venv"]).arg(place.path()))?;
    let mut pip = Command::new(place.path().join("bin/pip"));
    pip.args(["install", "--quiet", "--no-index", "--disable-pip-version-check"]);
    said(pip.arg(&path))?;
    try_binary(&place.path().join("bin/tapline"))?;
    Ok(format!("wheel: {}", path.display()))
}

/// The file with this ending that was written last.
fn newest(folder: &Path, ending: &str) -> anyhow::Result<PathBuf> {
    let mut all = Vec::new();
    for path in crate::below(folder)? {
        if path.extension().is_some_and(|extension| extension == ending) {
            all.push((fs::metadata(&path)?.modified()?, path));
        }
    }
    all.sort();
    let (_, path) = all.pop().with_context(|| format!("no .{ending} in {}", folder.display()))?;
    Ok(path)
}
