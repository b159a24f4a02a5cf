"""Poems in, conversations out.

A model of a few million weights knows little, so the data is arranged to teach the one skill that makes it useful:
whatever SUBJECT the request names, use its words in the verse. Every sample is a request whose subject really occurs
in the passage that answers it, and part of the time the subject is swapped (in the whole passage) for a name the
poems never contain, so that copying is the only way to predict it.
"""
import bz2
import gzip
import hashlib
import json
import math
import pickle
import random
import re
from collections import Counter
from pathlib import Path

USER, ASSISTANT, END, TEXT = "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>"
SPECIALS = [TEXT, USER, ASSISTANT, END]

STOP = set("""the and that with for from his her their our your thy was were are not but this all have has had who which
what when where how why then than thou thee shall will would should could may might must can one two three upon into unto
they them she him you your its it's there here these those some such more most each every any many much very only just
now ever never still yet nor out over down through again away too like did does done doth dost hath hast art been being
before after while till until about above under between against own same other another said say says let made make come
came goes went gone see saw seen know knew known take took taken give gave given get got thus though oft tis 'tis o'er
e'er ne'er ere also whose whom himself herself myself themselves itself thyself yourself shalt wilt canst didst wert nought
naught both few whence hence thence whither around along among amid within without because since even well old new good
great little long first last day man men way thing things once alone half full poor dear sweet fair bright dark high low
""".split())

ASK = [  # wordings, with weights; {X} is the subject
    (40, "Write a poem about {X}"), (10, "Write a poem about {X}."), (4, "write a poem about {X}"),
    (4, "A poem about {X}"), (3, "a poem about {X}"), (3, "Write me a poem about {X}"), (3, "Write a poem on {X}"),
    (2, "Please write a poem about {X}."), (2, "Write some verse about {X}"), (2, "write me verse on {X}"),
    (2, "Poem: {X}"), (2, "Can you write a poem about {X}?"), (2, "Now write a poem about {X}"),
    (2, "Tell me about {X}"), (1, "Now one about {X}"), (1, "And {X}?"), (1, "Sing of {X}"), (1, "Verses about {X}"),
    (1, "Compose a poem about {X}"), (1, "I want a poem about {X}"), (1, "What about {X}?"), (2, "{X}"),
]
ASK_SHORT = ["Write a short poem about {X}", "A short poem about {X}", "Write a few lines about {X}",
             "Write four lines about {X}", "Write a verse about {X}"]
ASK_SONNET = ["Write a sonnet about {X}", "Compose a sonnet about {X}", "A sonnet on {X}"]
ASK_LONG = ["Write a long poem about {X}", "A long poem about {X}"]

TALK = [
    (["hello", "Hello", "Hello!", "hi", "Hi!", "Hi there", "Hey", "hey", "good morning", "Good evening", "Hello, poet"], [
        "Good day to you! Sit down, and name\nA thing to sing, and I'll sing the same.",
        "Hello, my friend. What shall it be?\nA bird, a town, a stormy sea?",
        "Well met! I keep a song or two:\nSay what it is I'll sing for you.",
        "Hello! The ink is wet, the page is white;\nTell me of what you'd have me write."]),
    (["who are you", "Who are you?", "what are you?", "What is your name?", "Tell me about yourself", "who made you"], [
        "I am the poet that comes with gyr,\nA little bird with verse to share.",
        "I am the poet of gyr, and small;\nI know some songs, and that is all.",
        "They call me the poet. I dwell in gyr,\nA few small weights, and a love of air."]),
    (["what can you do", "What can you do?", "help", "Help!", "how do you work?"], [
        "I can write verses. Name me a thing,\nA town or a flower, and I shall sing.",
        "Ask me for a poem on what you please:\nA city, a sparrow, the wind in the trees."]),
    (["thanks", "Thanks!", "thank you", "Thank you!", "That was nice", "lovely", "I like it"], [
        "You're welcome, friend. A song is free;\nCome back when you've a theme for me.",
        "I thank you too: a listening ear\nIs all a singer asks to hear."]),
    (["bye", "goodbye", "Goodbye!", "good night", "Good night", "see you"], [
        "Farewell, and may the road be kind,\nWith wind before and song behind.",
        "Good night, good night! The page I close,\nAnd leave you to a sweet repose."]),
    (["how are you", "How are you?", "how are you doing?"], [
        "As glad as any bird may be\nThat has a song, and company.",
        "I'm well, I thank you: the day is long,\nAnd there is time for another song."]),
]

WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
# A proper name inside a line: one to three capitalised words after a lower-case word or a comma, so not a line's start.
NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}(?: [A-Z][a-z]{2,}){0,2}\b")
DETERMINER = {"the", "a", "an", "my", "thy", "his", "her", "our", "your", "their", "of", "this", "that", "no", "every"}


def clean(text):
    """One poem's text with the printing house's furniture taken away."""
    text = re.sub(r"[\x00-\x08\x0b-\x1f]", "", text)
    text = re.sub(r"\[\w{1,3}\]|[_*{}]", "", text)          # footnote marks, emphasis
    lines = []
    for line in text.split("\n"):
        line = re.sub(r"[ \t]+", " ", line).strip()
        if re.fullmatch(r"[IVXLC]+\.?|\d+\.?|[-=. ~#]+|\(?\d+\)?", line):
            line = ""                                       # a section number or a rule is a stanza break
        line = re.sub(r"\s+\d{1,4}$", "", line)             # line numbers of school editions
        lines.append(line)
    stanzas = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip().split("\n\n")
    while len(stanzas) > 1 and "\n" not in stanzas[0]:      # a lone line above a poem is an epigraph or a subtitle
        del stanzas[0]
    return "\n\n".join(stanzas)


def clean_title(title):
    title = re.sub(r"\[[^]]*\]|\([^)]*\)", "", title)
    title = re.split(r" - |: ", title)[-1] if re.match(r".*( - |: )", title) else title
    title = re.sub(r"^(To |On |Ode (To|On) |Lines (To|On) |Sonnet:? (To|On) )", "", title)
    return title.strip(" .,;:!'\"-")


SMALL = {"a", "an", "and", "at", "by", "de", "for", "from", "in", "of", "on", "or", "the", "to", "with"}


def heading(subject):
    """The line above the verse: the subject as a printer would set it. It is the easiest thing to copy, so copying is
    learned there first, and then the verse has the subject near by."""
    words = subject.split()
    return " ".join(w if i and w in SMALL else w[:1].upper() + w[1:] for i, w in enumerate(words))


def letters(text):
    """-> the letters of each line that is long enough to be known again"""
    return [re.sub(r"[^a-z]", "", line.lower()) for line in text.split("\n") if len(line) > 20]


def apart(train, held):
    """-> the poems of train that share no three lines with those held out: anthologies have a poem under two titles."""
    known = {line for _, text in held for line in letters(text)}
    return [(title, text) for title, text in train if sum(line in known for line in letters(text)) < 3]


def load(path):
    """-> (train, held out): lists of (title, text). The split is by a hash of the poem, so it never moves."""
    train, held = [], []
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as f:
        for row in f:
            poem = json.loads(row)
            key = "\0".join(str(poem.get(k) or "") for k in ("title", "author", "text"))
            out = held if int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) % 100 == 0 else train
            text = clean(poem["text"])
            lines = [x for x in text.split("\n") if x]
            if len(lines) < 3 or sum(len(x) > 100 for x in lines) > len(lines) / 10:
                continue                                    # fragments, and prose
            if sum(x.upper() == x for x in lines) > len(lines) / 3:
                continue
            out.append((clean_title(poem["title"]), text))
    return train, held


def prepare(poems, more, names, cache):
    """-> (train, held out, Sampler); what takes minutes of counting is kept in a file. Of more files all is for training."""
    if cache.exists():
        with bz2.open(cache) as f:
            train, held, known = pickle.load(f)
        return train, held, Sampler(train, load_names(names), known)
    train, held = load(poems)
    for path in more:
        train += sum(load(path), [])
    train = apart(train, held)
    sampler = Sampler(train, load_names(names))
    with bz2.open(cache, "wb") as f:
        pickle.dump((train, held, (sampler.idf, sampler.noun, sampler.proper)), f)
    return train, held, sampler


def load_names(path):
    kinds, kind = {}, None
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            kind = kinds.setdefault(line.strip("[]"), [])
        elif line.strip():
            kind += [x.strip() for x in line.split(",") if x.strip()]
    return kinds


class Sampler:
    """Draws (request, answer) pairs from the poems, for ever and never twice the same way."""

    def __init__(self, poems, names, known=None):
        self.poems, self.names, self.rng, self.stanzas = poems, names, random.Random(), {}
        self.idf, self.noun, self.proper = known or self.learn()
        # In a run of dozens of epochs each line should be met about as often: short poems a little more than long ones.
        self.weights, total_weight = [], 0.0
        for _, text in poems:
            total_weight += max(1.0, text.count("\n") / 20) ** 0.9
            self.weights.append(total_weight)

    def learn(self):
        """-> how rare each word is, which words may be subjects, which are names"""
        df, total, after_det, lower, upper = Counter(), Counter(), Counter(), Counter(), Counter()
        for _, text in self.poems:
            words = WORD.findall(text)
            df.update({w.lower() for w in words})
            previous = ""
            for w in words:
                x = w.lower()
                total[x] += 1
                (upper if w[0].isupper() else lower)[x] += 1
                if previous in DETERMINER:
                    after_det[x] += 1
                previous = x
        n = len(self.poems)
        # There is no tagger here; a word that often follows a determiner is noun enough to be a subject.
        return ({w: math.log(n / c) for w, c in df.items()},
                {w for w, c in total.items() if c >= 4 and after_det[w] >= 0.25 * c and len(w) > 2 and w not in STOP},
                {w for w, c in upper.items() if c > 9 * lower[w]})

    def passage(self, text, max_lines):
        rng = self.rng
        stanzas = self.stanzas.get(text)
        if stanzas is None:
            stanzas = self.stanzas[text] = [s.split("\n") for s in text.split("\n\n") if s.strip()]
        total = sum(map(len, stanzas)) + len(stanzas) - 1
        if total <= max_lines:
            return "\n\n".join("\n".join(s) for s in stanzas)
        first = max(0.1, min(0.55, 2 * max_lines / total))  # beginnings are what is asked for, but not all there is
        start = 0 if rng.random() < first else rng.randrange(len(stanzas))
        out, used = [], 0
        for stanza in stanzas[start:]:
            if used + len(stanza) > max_lines:
                break
            out.append("\n".join(stanza))
            used += len(stanza) + 1
        if not out:                                         # a stanza longer than the passage: cut at a sentence's end
            stanza = stanzas[start]
            stops = [i + 1 for i, x in enumerate(stanza) if x.rstrip("'\") ").endswith((".", "!", "?", ";"))]
            begins = [0] + [b for b in stops if b < len(stanza) - 3]
            b = 0 if rng.random() < first else rng.choice(begins)
            ends = [e for e in stops if b + 3 <= e <= b + max_lines]
            e = max(ends) if ends else b + max_lines
            out = ["\n".join(stanza[b:e])]
        return "\n\n".join(out)

    def subject(self, title, text):
        """-> (subject as it stands in the text or title, kind)"""
        rng, lines = self.rng, text.split("\n")
        head = " ".join(lines[:4]).lower()
        found = []
        low = text.lower()
        words = [w.lower() for w in WORD.findall(text)]
        count = Counter(words)
        title_words = [w.lower() for w in WORD.findall(title) if w.lower() not in STOP and len(w) > 2]
        present = [w for w in title_words if w in count]
        if title and len(title) < 48 and title_words:
            full = title.lower() in low or len(present) == len(title_words)
            found.append((6.0 if full else 2.0 if present else 0.25, title, "title"))
        for name, c in Counter(NAME.findall(text)).items():
            if all(w.lower() in self.proper for w in name.split()):
                w = (2.0 if " " in name else 1.2) * (1.5 if c > 1 else 1) * (2 if name.lower() in head else 1)
                found.append((w, name, "name"))
        scored = []
        for w, c in count.items():
            if w in self.noun:
                s = (1 + math.log(c)) * min(self.idf.get(w, 0), 7) * (2.2 if w in head else 1)
                scored.append((s, w))
        scored.sort(reverse=True)
        for s, w in scored[:6]:
            found.append((s * s / 30, w, "noun"))
        if not found:
            return title or "a song", "title"
        return rng.choices([f[1:] for f in found], [f[0] for f in found])[0]

    def swap(self, subject, kind, text):
        """Another name in the subject's place, everywhere: what the poems never rhymed must be copied."""
        rng = self.rng
        city = re.search(r"\b[Tt]he (city|town|village|land|valley|shore)\b(?! of)", text)
        if kind == "name" or (city and rng.random() < 0.5):
            new = rng.choice(self.names["place" if rng.random() < 0.65 else "person"])
            if new == "The Hague":
                new = "Hague"
            if kind == "name":
                return new, re.sub(r"\b%s\b" % re.escape(subject), new, text)
            if city:
                new = rng.choice(self.names["place"])
                return new, re.sub(r"\b[Tt]he %s\b(?! of)" % city.group(1), new, text)
        if kind == "noun":
            new = rng.choice(self.names["thing"])
            plural = subject.endswith("s") and not subject.endswith("ss")
            new += "s" if plural and not new.endswith("s") else ""
            out = re.sub(r"\b%s\b" % re.escape(subject), new, text)
            out = re.sub(r"\b%s\b" % re.escape(subject.capitalize()), new.capitalize(), out)
            if new[0] in "aeiou":
                out = re.sub(r"\b([Aa]) %s\b" % re.escape(new), r"\1n %s" % new, out)
            return new, out
        return subject, text

    def say(self, subject, kind, answer):
        rng, lines = self.rng, answer.count("\n") + 1
        if kind == "noun":
            plural = subject.endswith("s") and not subject.endswith("ss")
            r = rng.random()
            if plural:
                subject = subject if r < 0.7 else "the " + subject
            elif r < 0.45:
                subject = "the " + subject
            elif r < 0.65:
                subject = ("an " if subject[0] in "aeiou" else "a ") + subject
        elif kind == "title" and rng.random() < 0.75:       # titles as people type them, not as printers set them
            words = subject.split()
            subject = " ".join(w if w.lower() in self.proper else w.lower() for w in words)
        r = rng.random()
        if r < 0.05:
            subject = subject.title()
        elif r < 0.13:
            subject = subject.lower()
        head = heading(subject)
        r = rng.random()
        if lines <= 8 and r < 0.3:
            ask = rng.choice(ASK_SHORT)
        elif lines == 14 and r < 0.35:
            ask = rng.choice(ASK_SONNET)
        elif lines >= 24 and r < 0.2:
            ask = rng.choice(ASK_LONG)
        else:
            ask = rng.choices([a for _, a in ASK], [w for w, _ in ASK])[0]
        return ask.replace("{X}", subject), head

    def turn(self, max_lines):
        rng = self.rng
        if rng.random() < 0.012:
            asks, answers = rng.choice(TALK)
            return rng.choice(asks), rng.choice(answers)
        title, text = rng.choices(self.poems, cum_weights=self.weights)[0]
        answer = self.passage(text, max_lines)
        subject, kind = self.subject(title, answer)
        if rng.random() < 0.45:
            subject, answer = self.swap(subject, kind, answer)
        if len(subject) < 2:
            subject = title
        if subject.islower() is False and kind == "noun":
            kind = "name"
        ask, head = self.say(subject, kind, answer)
        return ask, f"{head}\n\n{answer}"


class Encoder:
    """The tokenizer, word by word: a word's tokens are looked up once. Ten times as fast as encoding whole texts, with the same ids."""
    SPLIT = re.compile(r"'(?:[stmd]|re|ve|ll)| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")
    ODD = re.compile(r"[^\W\d_a-zA-Z\u00c0-\u024f\u0370-\u03ff\u1f00-\u1fff]")  # \w that GPT-2's splitting may not take for a letter

    def __init__(self, tokenizer):
        self.tokenizer, self.known = tokenizer, {}

    def special(self, token):
        return self.tokenizer.token_to_id(token)

    def __call__(self, text):
        if self.ODD.search(text):
            return self.tokenizer.encode(text).ids
        ids, known = [], self.known
        for word in self.SPLIT.findall(text):
            found = known.get(word)
            if found is None:
                found = known[word] = self.tokenizer.encode(word).ids
            ids += found
        return ids


def encode_turn(encode, ask, answer):
    """-> (ids, is_target): only the answer and its end are learned; the request is given."""
    end, newline = encode.special(END), encode("\n")
    a = [encode.special(USER)] + encode(f"\n{ask}") + [end] + newline + [encode.special(ASSISTANT)] + newline
    b = encode(answer) + [end]
    return a + b + newline, [False] * len(a) + [True] * len(b) + [False] * len(newline)


def window(sampler, encode, size):
    """One row of size + 1 tokens: whole turns, one after another, as in a chat; then padding with a cut turn."""
    ids, target = [], []
    per_line = 11.0                                         # tokens in a line, roughly
    while len(ids) <= size:
        room = size + 1 - len(ids)
        fit = int((room - 16) / per_line)
        cap = sampler.rng.choice((6, 10, 14, 16, 20, 24, 28, 40, 60))
        for _ in range(3):
            i, t = encode_turn(encode, *sampler.turn(max(4, min(cap, fit))))
            if len(i) <= room:
                break
        ids += i
        target += t
    return ids[:size + 1], target[:size + 1]
