#include "text/patterns.h"

#include <string.h>

// Parts that many patterns share. Letters and numbers are Unicode's.
#define CONTRACTION     "'s|'t|'re|'ve|'m|'ll|'d|"
#define CONTRACTION_ANY "(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
#define WORD            "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define PUNCTUATION     " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
#define NEWLINES        "\\s*[\\r\\n]+|"
#define SPACES          "\\s+(?!\\S)|\\s+"
#define UPPER           "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER           "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(end)                                                                                                     \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" end "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" end "|"
#define PUNCTUATION_SLASH " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|"
#define ENDING            "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"

// Radford et al., 2019 (GPT-2), and the pattern of cl100k with its number rule left open.
#define UPPER_NOT_HAN "(?:(?!\\p{Han})" UPPER ")"
#define LOWER_NOT_HAN "(?:(?!\\p{Han})" LOWER ")"
#define CJK           "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+"
#define GPT2          CONTRACTION " ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|" SPACES
#define CL100K(digit) CONTRACTION_ANY WORD digit "|" PUNCTUATION NEWLINES SPACES
#define O200K         CASED(ENDING) "\\p{N}{1,3}|" PUNCTUATION_SLASH NEWLINES SPACES
#define PUNCTUATED    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|" LETTERS
#define LETTERS       "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
#define DEEPSEEK3     PUNCTUATED " ?[\\p{P}\\p{S}]+[\\r\\n]*|" NEWLINES SPACES
// Letters with case, as DeepSeek's first tokenizers list them.
#define CASED_LETTERS                                                                                                  \
    "A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}\\x{1c4}-\\x{293}\\x{295}-\\x{2af}"   \
    "\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37b}-\\x{37d}\\x{37f}\\x{386}\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}"     \
    "\\x{3a3}-\\x{3f5}\\x{3f7}-\\x{481}\\x{48a}-\\x{52f}\\x{531}-\\x{556}\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}"       \
    "\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}\\x{1cbd}-\\x{1cbf}\\x{1d00}-\\x{1d2b}\\x{1d6b}-\\x{1d77}"                  \
    "\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}\\x{1f18}-\\x{1f1d}\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}"                  \
    "\\x{1f50}-\\x{1f57}\\x{1f59}\\x{1f5b}\\x{1f5d}\\x{1f5f}-\\x{1f7d}\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{1fbe}" \
    "\\x{1fc2}-\\x{1fc4}\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}\\x{1fe0}-\\x{1fec}"                  \
    "\\x{1ff2}-\\x{1ff4}\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}\\x{210a}-\\x{2113}\\x{2115}\\x{2119}-\\x{211d}\\x{2124}" \
    "\\x{2126}\\x{2128}\\x{212a}-\\x{212d}\\x{212f}-\\x{2134}\\x{2139}\\x{213c}-\\x{213f}\\x{2145}-\\x{2149}\\x{214e}" \
    "\\x{2183}\\x{2184}\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{a66d}" \
    "\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}\\x{a771}-\\x{a787}\\x{a78b}-\\x{a78e}\\x{ab70}-\\x{abbf}"                  \
    "\\x{fb00}-\\x{fb06}\\x{fb13}-\\x{fb17}\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}"                \
    "\\x{104b0}-\\x{104d3}\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}"        \
    "\\x{1e900}-\\x{1e943}"

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static const struct patterns table[] = {
    {NAMES("default"), {"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
    {NAMES("falcon"), {"[\\p{P}$+<=>^~|`]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}, .mapped = 1 << 2 | 1 << 3},
    {NAMES("gpt-2", "phi-2", "mpt", "olmo", "jais", "exaone4", "trillion", "granite-docling", "jina-es", "jina-de",
           "jina-v1-en", "jina-v2-es", "jina-v2-de", "jina-v2-code", "roberta-bpe", "gigachat", "a.x-4.0", "mellum",
           "modern-bert"),
     {GPT2}},
    {NAMES("starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"),
     {"\\p{N}", GPT2}},
    {NAMES("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"),
     {CL100K("\\p{N}{1,3}")},
     .ignore_merges = true},
    {NAMES("dbrx", "smaug-bpe", "glm4", "chatglm-bpe"), {CL100K("\\p{N}{1,3}")}},
    {NAMES("qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "stablelm2", "hunyuan", "megrez", "grok-2", "solar-open"),
     {CL100K("\\p{N}")}},
    {NAMES("qwen35"),
     {CONTRACTION_ANY
      "[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" NEWLINES SPACES}},
    {NAMES("minicpm5"), {"\\p{N}{1,3}", CL100K("\\p{N}+")}, .ignore_merges = true},
    {NAMES("seed-coder"), {CONTRACTION_ANY WORD "\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" NEWLINES SPACES}},
    {NAMES("bailingmoe", "bailingmoe2", "llada-moe"),
     {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| "
      "?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|" SPACES}},
    {NAMES("exaone-moe"),
     {CONTRACTION_ANY
      "[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|"
      "\\s*[\\r\\n]|" SPACES}},
    {NAMES("tekken"), {CASED("") "\\p{N}|" PUNCTUATION_SLASH NEWLINES SPACES}, .ignore_merges = true},
    {NAMES("gpt-4o", "llama4", "kanana2", "minimax-m2", "talkie"), {O200K}},
    {NAMES("deepseek-llm"),
     {"[\\r\\n]", "\\s?[" CASED_LETTERS "]+",
      "\\s?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3000}-\\x{3002}]+", "(?<!\\s)\\s+$",
      "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+", "\\p{N}+"}},
    {NAMES("deepseek-coder"),
     {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+",
      "\\p{N}"}},
    {NAMES("deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"), {"\\p{N}{1,3}", CJK, DEEPSEEK3}},
    {NAMES("spark2_5"), {"\\p{N}{1,3}", CJK, PUNCTUATED " ?[\\p{P}\\p{S}]+|[\\r\\n]|" SPACES, "\\p{N}"}},
    {NAMES("afmoe"),
     {"\\p{N}{1,3}(?=(?:\\p{N}{3})*(?!\\p{N}))",
      "[\\x{4e00}-\\x{9fff}\\x{3400}-\\x{4dbf}\\x{f900}-\\x{faff}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}\\x{ff65}-\\x{"
      "ff9f}"
      "\\x{2f00}-\\x{2fdf}\\x{e40}-\\x{e7f}\\x{e80}-\\x{eff}\\x{1780}-\\x{17ff}\\x{1000}-\\x{109f}\\x{aa60}-\\x{aa7f}"
      "\\x{a9e0}-\\x{a9ff}\\x{ac00}-\\x{d7af}\\x{1100}-\\x{11ff}]+",
      DEEPSEEK3}},
    {NAMES("youtu"),
     {"[\\x{ac00}-\\x{d7a3}\\x{3131}-\\x{318e}]+|[\\x{ff01}\\x{2026}\\x{201c}\\x{201d}\\x{2018}\\x{2019}\\x{2014}\\x{"
      "ff1a}"
      "\\x{ff1b}\\x{ff0c}\\x{3001}-\\x{303f}\\x{fe30}-\\x{fe4f}]+|[\\x{3105}-\\x{312f}]+|" CJK,
      CASED(ENDING) "\\p{N}|" PUNCTUATION_SLASH NEWLINES SPACES},
     .ignore_merges = true},
    {NAMES("kimi-k2"),
     {"\\p{Han}+|[^\\r\\n\\p{L}\\p{N}]?" UPPER_NOT_HAN "*" LOWER_NOT_HAN "+" ENDING
      "|[^\\r\\n\\p{L}\\p{N}]?" UPPER_NOT_HAN "+" LOWER_NOT_HAN "*" ENDING
      "|\\p{N}{1,3}|" PUNCTUATION NEWLINES SPACES}},
    {NAMES("tiny_aya", "cohere2moe"), {"\\d{1,3}(?=(?:\\d{3})*\\b)", O200K}},
    {NAMES("superbpe"), {"\\p{N}+", "(?=(\\d{3})+(?!\\d))"}},
    {NAMES("laguna"), {"[^\\n]+|\\n+", CL100K("\\p{N}")}},
    {NAMES("ufakzeka"), {WORD "\\p{N}|" PUNCTUATION NEWLINES SPACES}},
    {NAMES("jais-2"),
     {CONTRACTION_ANY WORD
      "\\p{N}{1,3}|" PUNCTUATION NEWLINES
      "\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!\\S)|\\s{16}(?!\\S)|\\s{8}(?!\\S)|"
      "\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s"}},
    {NAMES("chameleon"),
     {"<sentinel:[0-9]+>", "IMGIMG[A-I]{1,4}Z", "[\\t\\n]|    |  ", "\\p{N}", "[\\p{P}!-/:-@\\[-`{-~]", GPT2}},
    {NAMES("granite-embed-multi-97m"), {O200K}, .ignore_merges = true},
    {NAMES("poro-chat", "bloom", "gpt3-finnish"),
     {" ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{ff0c}\\x{3001}\\x{964}\\x{6d4}\\x{60c})]+"}},
    {NAMES("viking"), {" ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{ff0c}\\x{3001}\\x{964}\\x{6d4}\\x{60c})]+", "\\p{N}"}},
};

const struct patterns *patterns_row(size_t i) { return i < sizeof table / sizeof *table ? &table[i] : NULL; }

const struct patterns *patterns_find(const char *name) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (const char *const *n = table[i].names; *n; n++)
            if (!strcmp(*n, name)) return &table[i];
    return NULL;
}

void patterns_list(struct buf *out) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (const char *const *n = table[i].names; *n; n++) buf_printf(out, "%s%s", out->size ? ", " : "", *n);
}
