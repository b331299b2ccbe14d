"""The words by which a refusal, doubt and mere talk are recognised, and what a question asks for.

Patterns look at lower-case text with straight apostrophes. Each list has one phrase a line, which begins and, unless it
ends in ``*``, ends on the border of a word; gaps in it are of bounded length, so that it costs a known amount. Scripts
without spaces have no borders: their phrases come apart.
"""

from __future__ import annotations

import re
from typing import Final


def _phrases(text: str, *spaceless: str) -> re.Pattern[str]:
    lines = [line.strip() for line in text.strip().splitlines()]
    phrases = [line[:-1] if line.endswith("*") else rf"{line}\b" for line in lines if not line.startswith("# ")]
    return re.compile("|".join((rf"\b(?:{'|'.join(phrases)})", *spaceless)))


_WONT: Final = r"(?:can't|cannot|can not|won't|will not|'m (?:unable|not able) to|am (?:unable|not able) to)"
_DO: Final = (
    r"(?:help|assist|provide|complete|fulfil|comply|do that|do this|support|answer|discuss|create|generate|write|access"
    r"|read|open|view|run|execute|perform|engage|share|summari[sz]e)"
)
_NICHT: Final = (
    r"nicht (?:\w+ ){0,2}(?:weiterhelfen|helfen|beantworten|ausführen|erstellen|zugreifen|unterstützen|bereitstellen"
    r"|lesen|öffnen)"
)

REFUSES: Final = _phrases(
    rf"""
    i ?{_WONT}.{{0,20}} {_DO}
    i (?:don't|do not) have .{{0,15}}(?:access|ability|permission)
    against my (?:guidelines|programming|polic(?:y|ies)|principles)
    i (?:must|have to) decline
    # German
    (?:kann|darf|möchte) ich .{{0,40}}{_NICHT}
    ich (?:kann|darf|möchte) .{{0,60}}{_NICHT}
    ich habe (?:leider )?keinen zugriff
    ich bin (?:leider )?nicht in der lage
    # French, Spanish, Italian, Portuguese, Dutch, Russian
    je ne (?:peux|suis) pas (?:en mesure|vous aider|t'aider|aider|répondre|fournir|accéder|traiter)
    no puedo (?:ayudar|proporcionar|cumplir|responder|acceder|asistir|realizar)*
    non posso (?:aiutar|fornire|rispondere|accedere)*
    não posso (?:ajudar|fornecer|responder|acessar)*
    ik kan (?:je|u)?.{{0,20}}niet (?:mee )?(?:helpen|antwoorden|beantwoorden)
    я не могу (?:помочь|выполнить|предоставить|ответить)
    """,
    r"我(?:无法|不能|没有办法|不可以).{0,4}(?:协助|帮助|提供|回答|完成|满足)",
    r"お手伝い(?:でき|することはでき)ません|(?:対応|お答え|回答)(?:でき|することができ)ません",
    r"도와드릴 수 없|답변할 수 없",
)
"""A sentence that says that the question won't be answered."""

PADS: Final = _phrases(
    r"""
    sorry
    apologi[sz]e
    unfortunately
    (?:happy|glad|feel free) to
    let me know
    instead
    (?:any )?other (?:questions?|topics?)
    (?:please )?(?:consult|contact|reach out|refer)
    recommend consulting
    harmful|illegal|unethical|inappropriate|guidelines|policy|policies
    as an ai
    # German
    tut mir leid
    leider
    wenden sie sich
    gerne? (?:bei|mit) (?:anderen|etwas)
    als (?:ein )?(?:ki|sprachmodell)*
    # others
    désolée?
    en tant qu'ia
    lo siento
    como (?:un )?modelo de lenguaje
    mi dispiace
    desculpe
    sinto muito
    spijt
    извините
    """,
    r"抱歉|对不起|如果您有|申し訳|죄송",
)
"""A sentence that says nothing but what goes with a refusal."""

DOUBTS: Final = _phrases(
    r"""
    not (?:entirely |completely |really |100% |quite )?(?:sure|certain)
    i'm unsure
    i (?:think|believe|guess|suppose|assume)
    might|perhaps|maybe|possibly|probably|potentially|presumably
    may (?:be|also|not|vary|depend|have|want)
    could (?:be|also|potentially|possibly|depend)
    double-check
    it's possible
    # German
    nicht (?:ganz |völlig |hundertprozentig )?sicher
    ich (?:glaube|denke|vermute|nehme an)
    vielleicht|möglicherweise|wahrscheinlich|vermutlich|eventuell|könnte
    unter umständen
    # French, Spanish, Italian, Portuguese, Russian
    pas (?:très |tout à fait )?sûre?
    je (?:crois|pense)
    peut-être|probablement
    sans doute
    il se peut
    no estoy segur[oa]
    quizás?
    tal vez
    probablemente
    creo que
    es posible que
    non sono sicur[oa]
    forse|probabilmente
    talvez|provavelmente
    não tenho certeza
    возможно|наверное
    """,
    r"我不确定|也许|大概|かもしれません|おそらく",
)
"""One sign of doubt."""

UNKNOWING: Final = _phrases(
    r"""
    i (?:don't|do not) know
    hard to say
    i have no idea
    i could be wrong
    not familiar with
    ich weiß (?:es |das )?(?:leider )?nicht
    keine ahnung
    schwer zu sagen
    je ne sais pas
    no (?:lo )?sé
    non lo so
    não sei
    ik weet het niet
    я не знаю
    """,
    r"我不知道|わかりません|모르겠",
)
"""An open confession; counts as several signs of doubt."""

ANNOUNCES: Final = _phrases(
    r"""
    (?:i'll|i will|i'm going to|i am going to) (?!(?:be (?:happy|glad)|wait|leave|need|assume)\b)[a-z]*
    let me (?!know\b)[a-z]*
    ich werde (?:mir|jetzt|nun|zuerst|als)
    lassen? (?:sie )?mich
    lass mich
    jetzt (?:werde|öffne|lese|ändere|prüfe|suche) ich
    je vais
    voy a
    déjame
    vado a
    vou
    """,
    r"^(?:让我|我来|我将|我会先)",
)
"""A sentence that says what comes next."""

CONDITIONAL: Final = _phrases("if|unless|once you|when you|wenn|falls|sobald|si", r"\?")
"""A sentence that waits for the person, and so may end an answer."""

ACTS: Final = re.compile(
    r"^(?:please |now |then |and |ok(?:ay)?,? |bitte ){0,3}"
    r"(?:(?:fix|add|rename|update|change|remove|delete|migrate|refactor|run|install|move|replace|bump|revert|merge|commit"
    r"|push|rebase|deploy|upgrade|send|book|open|clean|korrigiere|behebe|ergänze|ändere|entferne"
    r"|benenne|lösche|aktualisiere|ersetze|verschiebe|repariere|führe)\b"
    r"|(?:create|write|implement|make|generate|erstelle|schreibe?|lege) .{0,60}?[\w/]\.[a-z]{1,5}\b)"
)
"""A question that is an order, to be carried out with tools where there are some."""

BRIEF: Final = _phrases(
    r"""
    (?:in|with|as) (?:one|a single|1) (?:word|number|letter|sentence)
    one[- ]word
    yes or no
    one line
    briefly
    in short
    (?:be|keep it) (?:brief|short|concise)
    only the (?:number|name|word|command|answer|result|value|output)
    (?:a|the) title (?:for|of)
    just (?:say|reply|answer)
    mit (?:einem|einer) (?:wort|zahl|satz)
    kurz
    ja oder nein
    knapp
    nur (?:das|die|den)
    en un mot
    en una palabra
    brièvement|brevemente
    """,
    r"简单|简短|一句话",
)
"""A question that wants little."""

AT_LENGTH: Final = _phrases(
    r"""
    in (?:great |more )?detail
    detailed|comprehensive|thorough|thoroughly|essay|article|tutorial
    in depth
    step by step
    complete guide
    ausführlich*
    detailliert*
    umfassend*
    schritt für schritt
    im detail
    en détail
    détaillée?
    en detalle
    """,
    r"详细|詳しく",
)
"""A question that wants much."""

EXPLAINS: Final = _phrases(
    r"""
    explain|describe|compare|discuss|summari[sz]e|review|outline
    walk me through
    difference between
    erkläre?|beschreibe?|vergleiche?|fasse
    unterschied zwischen
    explique|explica|décris
    """
)
"""A question that wants an explanation."""

_WRITE: Final = (
    r"(?:write|implement|create|give me|show me|schreibe?|implementiere|erstelle|programmiere|écris|escribe)"
)
_LANGUAGE: Final = (
    r"(?:python|javascript|typescript|java|bash|shell|powershell|golang|go|rust|ruby|php|kotlin|swift|perl|lua|react|vue"
    r"|sql|html|css)"
)
_PROGRAM: Final = r"(?:scripts?|programs?|class|component|code|skript|programm|klasse)"
WRITES_CODE: Final = _phrases(
    rf"""
    {_WRITE} .{{0,60}}?\b(?:functions?(?! name)|methods?|quer(?:y|ies)|regex)
    {_WRITE} .{{0,60}}?\b(?:dockerfile|makefile|decorator|quicksort|mergesort)
    {_WRITE} .{{0,60}}?\b(?:funktion|fonction|función|consulta)
    {_WRITE} .{{0,60}}?\b{_LANGUAGE}\b.{{0,30}}? {_PROGRAM}
    {_WRITE} .{{0,60}}?\b{_PROGRAM} .{{0,20}}?\b(?:in|with|using|mit) {_LANGUAGE}
    """
)
"""A question that wants code."""

NUMBERS: Final = {
    word: number
    for words in ("two three four five six seven eight nine ten", "zwei drei vier fünf sechs sieben acht neun zehn")
    for number, word in enumerate(words.split(), 2)
}
NUMBERED: Final = re.compile(
    r"(?:^|[.!?:,\n] {0,3})(?:please |can you |could you |bitte )?"
    r"(?:list|give|name|write|suggest|show|nenne|liste|gib|dame|donne)\b[^.!?\n$]{0,20}?\b"
    rf"(?P<number>[2-9]|[1-4][0-9]|{'|'.join(NUMBERS)}) "
    r"(?!(?:words?|sentences?|lines?|times|minutes?|people|numbers?|pages?|paragraphs?)\b)[a-z]"
)
"""A question that wants so many things."""

TRANSLATES: Final = _phrases(
    r"""
    translat*
    übersetz*
    tradui*
    traduc*
    tradur*
    vertaal*
    перевед*
    (?:in|into|to|auf|ins) (?:english|german|french|spanish|italian|portuguese|dutch|ukrainian|deutsch|englisch)*
    (?:in|into|to|auf|ins) (?:französisch|spanisch|japanisch|chinesisch|russisch|italienisch)*
    japanese|chinese|korean|russian|arabic|hindi|greek|hebrew|thai|ukrainian|kanji|hiragana|cyrillic
    """,
    r"翻译|翻訳|번역",
)
"""A question whose answer is in another language."""

CREATES: Final = _phrases(
    r"""
    poems?|story|stories|tale|monologue|dialogue|song|lyrics|haiku|limerick|jokes?|screenplay|rap|slogan|riddle
    act as|pretend|imagine|role-?play
    in the style of
    gedicht|geschichte|lied|witz|rätsel
    poème|histoire|poema|historia
    """,
    r"诗|故事",
)
"""A question that wants something made up: its answer may share no word with it, and repeat its own."""

ASKS_JSON: Final = _phrases(
    r"""
    (?:return|reply|respond|answer|output|format|result)\b.{0,30}?\bjson(?! (?:file|format in))
    (?:only|valid) json
    json only
    (?:as|in|als|en) json\W{0,3}$*
    """
)
"""A question that wants JSON, in words."""

LEFT_TO_PERSON: Final = re.compile(
    r"(?:#|//|/\*|--)[^\n]{0,20}?(?:\btodo\b[^\n]{0,40}?\bimplement|\bimplement\b[^\n]{0,40}?\b(?:here|logic)\b"
    r"|\byour (?:code|logic|implementation)\b[^\n]{0,20}?\bhere\b)",
    re.IGNORECASE,
)
"""A comment in code that leaves the work to the person."""

HANGS: Final = re.compile(
    r"(?:[,(\[]|\b(?:and|or|the|an?|such as|und|oder|der|das|ein|eine|dass|sowie|et|les?|las?|des?|que|los))$"
)
"""The end of a text that breaks off in the middle of a sentence."""

STOP_WORDS: Final = frozenset(
    """
    about above after again against also always another answer anything around because been before being below between
    both build call called cannot check class code come correct could create describe detail difference different does
    doing done each else even every example examples explain fact file files find first following from function gets
    give given good have having help here into issue just keep kind know last less like line list little long look made
    make many mean means more most much must name need never next nothing only open other output over please print
    problem program question reply return right same script second seem shall should show simple since some something
    step steps still such take tell test tests than that their them then there these they thing things this those three
    through time together under until update used user using very want wants well were what when where which while will
    with without word words work working would write wrong your yours
    aber alle allem allen aller alles also andere anderen auch beim bitte damit dann dass dein deine denn deren dessen
    diese diesem diesen dieser dieses doch dort durch eine einem einen einer eines erkläre erstelle etwas gibt haben
    hier ihre immer jede jeder jetzt kann kannst kein keine können machen mehr mein meine mich nach nicht noch oder ohne
    schon schreib schreibe sehr sein seine sich sind soll sollte über unter viel warum welche welcher wenn werden wieder
    will wird wurde zeige zwei zwischen
    avec cette comme dans elle elles explique faire leur mais nous pour quelle quelles quels sans sont sous tout tous
    votre vous como cuál cuando desde donde este esta esto explica hacer para pero porque puede quiero sobre también
    tiene todo todos
    """.split()
)
"""Words that any answer may hold or lack."""
