//! The states of domains, in the languages that libvirt speaks.
//!
//! Source: libvirt `tools/virsh-domain-monitor.c` (`virshDomainStateToString`), `po/*.po`.

/// The states, of all versions.
pub(super) const STATES: &[&str] = &[
    "running",
    "shut off",
    "paused",
    "idle",
    "in shutdown",
    "crashed",
    "pmsuspended",
    "no state",
    "blocked",
    "dying",
    "unknown",
];

/// Translations, each under the state that it is of.
const TRANSLATED: &[(&str, &[&str])] = &[
    (
        "running",
        &[
            "laufend",
            "läuft",
            "en cours d’exécution",
            "en cours d'exécution",
            "en cours d'exécution",
            "ejecutando",
            "ejecutándose",
            "in esecuzione",
            "executando",
            "em execução",
            "работает",
            "выполняется",
            "працює",
            "实行中",
            "実行中",
            "运行",
            "运行中",
            "正在运行",
            "執行中",
            "실행 중",
            "실행중",
            "uruchomiona",
            "uruchomione",
            "működik",
            "fut",
            "draaiend",
            "wordt uitgevoerd",
            "körs",
            "kører",
            "kjører",
            "spuštěno",
            "běží",
            "çalışıyor",
            "suoritetaan",
            "käynnissä",
            "en execució",
        ],
    ),
    (
        "paused",
        &[
            "pausiert",
            "mis en pause",
            "en pause",
            "en pausa",
            "pausado",
            "in pausa",
            "приостановлен",
            "приостановлена",
            "призупинено",
            "一時停止",
            "一時停止中",
            "暂停",
            "已暂停",
            "暫停",
            "已暫停",
            "일시 정지",
            "정지됨",
            "중지됨",
            "wstrzymana",
            "wstrzymane",
            "szüneteltetve",
            "gepauzeerd",
            "pausad",
            "pauset",
            "pozastaveno",
            "duraklatıldı",
        ],
    ),
    (
        "shut off",
        &[
            "ausgeschaltet",
            "fermé",
            "éteint",
            "apagado",
            "terminato",
            "spento",
            "desligado",
            "desligar",
            "выключен",
            "отключен",
            "вимкнено",
            "シャットオフ",
            "关闭",
            "已关闭",
            "關機",
            "종료",
            "종료됨",
            "wyłączona",
            "wyłączone",
            "leállítva",
            "uitgezet",
            "avstängd",
            "slukket",
            "vypnuto",
            "kapalı",
        ],
    ),
    (
        "idle",
        &[
            "untätig",
            "inactif",
            "inactivo",
            "inattivo",
            "ocioso",
            "アイドル",
            "空闲",
            "闲置",
            "простаивает",
        ],
    ),
    (
        "in shutdown",
        &[
            "beim Herunterfahren",
            "en cours d'arrêt",
            "en apagado",
            "in spegnimento",
            "シャットダウン中",
            "正在关机",
            "关机中",
        ],
    ),
    (
        "crashed",
        &[
            "abgestürzt",
            "planté",
            "fallado",
            "terminato inaspettatamente",
            "bloccato",
            "クラッシュ",
            "崩溃",
            "已崩溃",
            "crash",
            "аварийно завершён",
            "сбой",
        ],
    ),
    ("pmsuspended", &["pm-suspendiert"]),
    (
        "no state",
        &[
            "kein Status",
            "aucun état",
            "sin estado",
            "nessuno stato",
            "状態なし",
            "无状态",
            "нет состояния",
        ],
    ),
];

/// The state that the text ends with, after a blank: how many bytes it takes there, and its
/// English name.
pub(super) fn at_end(text: &str) -> Option<(usize, &'static str)> {
    let ends = |word: &str| {
        let name = text.strip_suffix(word)?;
        let blank = name.trim_end();
        (!blank.is_empty() && blank.len() < name.len()).then_some(word.len())
    };
    let english = STATES.iter().find_map(|state| Some((ends(state)?, *state)));
    english.or_else(|| {
        TRANSLATED.iter().find_map(|(state, words)| {
            let len = words.iter().filter_map(|word| ends(word)).max()?;
            Some((len, *state))
        })
    })
}

/// The English name of a state as it is printed. A state of a language that is not listed follows
/// from the id: only active domains have one.
pub(super) fn canonical(printed: &str, active: bool) -> &'static str {
    let english = STATES.iter().find(|state| **state == printed);
    let translated = || {
        TRANSLATED.iter().find(|translated| translated.1.contains(&printed)).map(|(state, _)| state)
    };
    match english.or_else(translated) {
        Some(state) => state,
        None if active => "running",
        None => "shut off",
    }
}
