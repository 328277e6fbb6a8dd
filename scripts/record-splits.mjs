// Records how Hugging Face's tokenizers (Rust) cuts texts by the rules of the models' own tokenizers, for the test of
// coordinator/model/tokenizer/split-rules.ts.
//
//   npm install --prefix /tmp/oracle tokenizers
//   node scripts/record-splits.mjs /tmp/oracle > test/fixtures/splits.json
//   node scripts/record-splits.mjs /tmp/oracle --random 5000 --seed 7 > /tmp/splits.json   (a search for differences)
//   STARLING_SPLITS=/tmp/splits.json node --test dist/test/unit/coordinator/model/tokenizer/split-rules.test.js
//
// The result has the texts, and for each name of rules (tokenizer.ggml.pre) the lengths of each text's pieces: a digit
// to base 36 for each, or a decimal number in brackets.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const isolated = (regex) => ({ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false });
const DIGITS = { type: 'Digits', individual_digits: true };
const GPT_2 = isolated(String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`);
const modern = (digits) =>
  isolated(
    String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|${digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  );
const UPPER = String.raw`\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}`;
const LOWER = String.raw`\p{Ll}\p{Lm}\p{Lo}\p{M}`;
const cased = (suffix, digits) =>
  isolated(
    String.raw`[^\r\n\p{L}\p{N}]?[${UPPER}]*[${LOWER}]+${suffix}|[^\r\n\p{L}\p{N}]?[${UPPER}]+[${LOWER}]*${suffix}|${digits}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  );
const ENGLISH = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?";
const SYMBOL_AND_WORD = String.raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_${'`'}{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+`;
const CASED_LETTERS = [
  'A-Za-z',
  '\xb5\xc0-\xd6\xd8-\xf6\xf8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377',
  '\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f',
  '\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77',
  '\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d',
  '\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb',
  '\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128',
  '\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4',
  '\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf',
  '\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\u{10400}-\u{1044f}\u{104b0}-\u{104d3}',
  '\u{104d8}-\u{104fb}\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}\u{118a0}-\u{118df}\u{1e900}-\u{1e943}',
].join('');
const BLOOM = isolated(' ?[^(\\s|[.,!?…。，、।۔،])]+');

/** The pre-tokenizers of the models' tokenizer.json, less what writes bytes as characters. */
const RULES = {
  'gpt-2': [GPT_2],
  starcoder: [DIGITS, GPT_2],
  'llama-bpe': [modern(String.raw`\p{N}{1,3}`)],
  qwen2: [modern(String.raw`\p{N}`)],
  qwen35: [
    isolated(
      String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
    ),
  ],
  'gpt-4o': [cased(ENGLISH, String.raw`\p{N}{1,3}`)],
  tekken: [cased('', String.raw`\p{N}`)],
  tiny_aya: [isolated(String.raw`\d{1,3}(?=(?:\d{3})*\b)`), cased(ENGLISH, String.raw`\p{N}{1,3}`)],
  'deepseek-v3': [
    isolated(String.raw`\p{N}{1,3}`),
    isolated('[一-龥\u3040-ゟ゠-ヿ]+'),
    isolated(String.raw`${SYMBOL_AND_WORD}[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`),
  ],
  spark2_5: [
    isolated(String.raw`\p{N}{1,3}`),
    isolated('[一-龥\u3040-ゟ゠-ヿ]+'),
    isolated(String.raw`${SYMBOL_AND_WORD}|[\r\n]|\s+(?!\S)|\s+`),
    DIGITS,
  ],
  'deepseek-llm': [
    isolated('[\r\n]'),
    isolated(`\\s?[${CASED_LETTERS}]+`),
    isolated('\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+'),
    isolated('\\s+$'),
    isolated('[一-龥\u0800-一가-\ud7ff]+'),
    DIGITS,
  ],
  'deepseek-coder': [
    isolated('[\r\n]'),
    isolated(String.raw`\s?\p{L}+`),
    isolated(String.raw`\s?\p{P}+`),
    isolated('[一-龥\u0800-一가-\ud7ff]+'),
    DIGITS,
  ],
  'kimi-k2': [
    isolated(
      String.raw`[\p{Han}]+|[^\r\n\p{L}\p{N}]?[${UPPER}&&[^\p{Han}]]*[${LOWER}&&[^\p{Han}]]+${ENGLISH}|[^\r\n\p{L}\p{N}]?[${UPPER}&&[^\p{Han}]]+[${LOWER}&&[^\p{Han}]]*${ENGLISH}|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
    ),
  ],
  bailingmoe: [
    isolated(
      String.raw`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`,
    ),
  ],
  'seed-coder': [
    isolated(
      String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+`,
    ),
  ],
  'exaone-moe': [
    isolated(
      String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+`,
    ),
  ],
  minicpm5: [isolated(String.raw`\p{N}{1,3}`), modern(String.raw`\p{N}+`)],
  laguna: [isolated('[^\n]+|[\n]+'), modern(String.raw`\p{N}`)],
  'jais-2': [
    isolated(
      String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}`,
    ),
  ],
  youtu: [
    isolated('[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥\u3040-ゟ゠-ヿ]+'),
    cased(ENGLISH, String.raw`\p{N}`),
  ],
  falcon: [{ type: 'Punctuation', behavior: 'Contiguous' }, GPT_2, isolated('[0-9][0-9][0-9]')],
  bloom: [BLOOM],
  viking: [BLOOM, DIGITS],
  superbpe: [isolated(String.raw`\p{N}+`), isolated(String.raw`(?=(\d{3})+(?!\d))`)],
  ufakzeka: [isolated(String.raw`[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`)],
  chameleon: [
    isolated('<sentinel:[0-9]+>'),
    isolated('(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z'),
    isolated('([\\t\\n]|    |  )'),
    DIGITS,
    isolated('[\\p{P}!-/:-@\\[-`{-~]'),
    GPT_2,
  ],
};

const TEXTS = [
  "it's IT'S we'll WE'LL you'Ve I'd I'D 'tis 'Twas don''t o'clock'",
  "a'ſ b'S c'ſt 'ſ' 'K",
  "''s'' 's's 'S'S ' s' t’s",
  'Hello  world   foo\tbar \t baz',
  ' leading and trailing  ',
  '   ',
  '\n',
  '\r\n',
  'a\r\n\r\nb\r\rc\n\n\n d\n  e',
  'x \n \n y\n \t\nz  \n',
  '  \n  \r\n x',
  'tab\ttab\t\ttab\t \t x',
  'a\u000bb\u000cc\u0085d\u0085\u0085e \u0085 f',
  'a\u00a0b\u00a0\u00a0c \u00a0d\u1680e\u2003\u2003f\u202fg\u205fh\u3000i\u3000\u3000j',
  'line\u2028sep\u2029para\u2028\u2028x',
  'bom\ufeffbom \ufeff\ufeff x\u180ey\u200bz \u200b\u200b w',
  '1 12 123 1234 12345 123456 1234567 1234567890',
  '1,234,567.89 3.14159 0x1F 1e10 1_000_000 2024-01-31T12:00',
  'abc123 123abc a1b2c3 1234abc 12345_6 12345é 12345²',
  'x²y³ ½ ¼1 ¹²³⁴ ₁₂₃ ①②③ Ⅷ ⅷ ⅯⅯ 〇〡 一二三',
  '١٢٣٤٥ ۱۲۳۴ १२३४५ ৪৫৬ ๑๒๓๔ ၁၂၃၄ 𝟏𝟐𝟑𝟒 ０１２３４ 12१२३1',
  '!!! ??? ... --- *** ## $$ %% && @@ ~~ ^^ `` || \\\\ // "" () [] {} <>',
  '!word ?word .word -word *word #word $word %word &word @word ~word ^word `word |word \\word /word "word',
  ' !word  ?word\t.word (word) [word] {word} <word> word.word word/word word-word',
  'a.b.c,d;e:f!g?h=i+j*k/l\\m|n&o^p%q$r#s@t~u',
  '=>=<=!=== ++ -- += -> :: ...\n}\n  )\r\n];//\n/* x */',
  'https://example.com/a/b?c=d&e=f#g user@host.org C:\\x\\y ~/.z',
  '// comment\n/\n/\r\n path/\n./x/ \n',
  'CamelCase camelCase HTTPServer XMLHttpRequest iPhone McDonald ABCdef ABC DEF aBcDeF',
  'ÉCOLE École éCOLE ÀÉÎ àéî ÑandÚ ßẞ ŒUVRE œuvre ǅ ǅUNGLA ǄǅǆǇ',
  'ПРИВЕТ Привет приВЕТ ΑΒΓ αβγ Αβγ ԱԲաբ ႠႡაბ ᲐᲑ Ꭰꭰ',
  "HELLO'S Hello'Ll éTÉ'S ПРИВЕТ's A'b'C'd L'ÉCOLE l'école",
  'e\u0301 E\u0301 e\u0301e\u0301 \u0301 \u0301\u0301a 1\u0301 !\u0301 a\u0301\u0323b\u0323\u0301',
  'ก็ เก่ง กำลัง ภาษาไทย ๑ ไม่มี',
  'हिन्दी भाषा क्षि ज्ञान। संस्कृतम्॥ १',
  'বাংলা தமிழ் తెలుగు ಕನ್ನಡ മലയാളം සිංහල ગુજરાતી ਪੰਜਾਬੀ',
  'العربية، مرحبا؟ اَلْعَرَبِيَّةُ۔ فارسی ـــ',
  'עברית שָׁלוֹם־עֲלֵיכֶם ׳״',
  'កាន់តែពិសេស ລາວ မြန်မာ བོད་ཡིག། ᠮᠣᠩᠭᠣᠯ',
  '中文字符，测试。漢字「引用」、《书》……——！？',
  'ひらがな カタカナ ｶﾀｶﾅ ー々〆〇 日本語です。東京タワー',
  '한국어 조선말 ㄱㄴㄷ ㆍㆎ \u1112\u1161\u11ab 가나다ABC',
  'ㄅㄆㄇㄈ ㄪㄫ 𠀀𠀁𪜀 \uf900\ufa0e 龥龦鿿 㐀䶿 ⺀⼀ 𰀀',
  '中1文2 中a文B 中 文 中\n文 a中 1中 !中 中! 中\u0301',
  '漢字kanjiカナ12かなABC中文def',
  '😀😃 👨‍👩‍👧‍👦 👍🏽👍🏿 🇩🇪🇫🇷 ❤️❤ ☺︎ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 1️⃣ #️⃣',
  'text😀text 😀 text😀😀\n\n😀\n a😀1',
  '\ue000\ue001 \uf8ff a\ue000b \u{f0000}\u{10fffd} \ufffd\ufffd \ufffe',
  '\0 \x01\x02a\x03 \x7f\x80\x9f b\x1b[0m c',
  '\u00ad\u200c\u200d\u2060 a\u200db a\u200cb \u202ertl\u202c \u2066x\u2069',
  '€£¥₹ ©®™ °±×÷ §¶†‡ «quote» „low“ ‚x‘ ‹y› ¿qué? ¡sí!',
  '∀x∈ℝ: ∑∏∫√ ≤≥≠≈ →←⇒ ∞ ℂℍ ℕ µ Ω K Å',
  '│├── ▁▂▃ █ ░ ● ○ ◆ ★ ♥ ♪ ✓ ✗ ➜',
  '𝒜𝓑𝔠 𝔸𝕓 𝐀𝐛 𐐀𐐨 𐲀𐳀 𑢠𑣀 𞤀𞤢 𖹀𖹠',
  'ﬀﬁﬂﬆ ﬓ Ａｂｃ１２！？ ａＢ ｱ ￦ Ⅻ ㎏ ㍿ ㈱',
  'ʰʲˢ ⁿ ₓ ªº ʻʼ ˈˌ ː ˙ ͺ ΄ ՙ ᴬᵃ ᶜ ⸯ',
  "rock'n'roll y'all'd've should've'd '90s ’s ’ll ʼs",
  '   a    b     c      d       e        f         g',
  `${' '.repeat(17)}x${' '.repeat(33)}y${' '.repeat(65)}`,
  `${'\t'.repeat(5)}x${'\n'.repeat(9)}y${' \n'.repeat(4)}`,
  `${' '.repeat(520)}x${' '.repeat(300)}`,
  'def f(x):\n    if x == 1:\n        return "a\\n"\n\n\n# end\n',
  '{"key": [1, 2.5, null], "ключ": "значение", "k": {"a": -1e-3}}',
  '<|im_start|>user\nHi<|im_end|>\n<sentinel:12> <sentinel:x> IMGIMGABCZ IMGIMGZ IMGIMGABCDEZ',
  'word\u2019s word\u2018s “word” …word word… word—word word–word',
  'a ،b ؛c ؟d ।e ॥f 。g 、h ，i ！j ？k ：l',
  ' ، x . , ! ?  |  ( ) |(|)| a|b (c) d،',
  '1/2 3:4 5-6 7.8.9 10% $100 #5 1st 2nd 3rd 4K 5G',
  '١٬٢٣٤ 12\u00a0345 1\u2009234 1’234 123\u0301 123_456 12345\u200d',
  'Ⅷ123 123Ⅷ ²123 123² 1²345 12²345678 1234①567',
  "I'M I'm i'M'm 'LL 'lL 'rE 'Ve'VE 'Re 'd'D",
  "'a 'st 'lla 'vea 'red 'md 'tt ' s ' ll",
  'aaaaaaaaaaaaaaaaaaaaAAAAAAAAAAAAAAAAAAAA1111111111111111',
  'ǅa Aǅ aǅ ǅǅ Aʰ ʰA aʰb AʰB 中A A中a 中aA',
  'a\n/b ./\n/\n !/\n\n// //\r\n/x',
  '日本 語 日 本 Ω a b c  d e  f a1 b é c',
  'व ि क ् ष a ि 1ि !ि \nि',
  '\n\nText\n\n\n\nMore  \n\n',
  ' \u3000 x\u3000 \u3000y \u3000\n\u3000z',
  'x\u0085\ny \u0085\n \u2028\n\u2029z',
];

const ALPHABET = [
  ...[' ', ' ', '\n', '\r', '\t', '\u0085', '\u00a0', '\u3000', '\u2028', '\ufeff', '\u200d', '\0'],
  ...["'", "'", 's', 'S', 't', 're', 'VE', 'll', 'ſ', 'd', 'a', 'b', 'Z', 'é', 'É', 'e\u0301', '\u0301', '\u093f'],
  ...['1', '2', '12', '345', '١', '²', 'Ⅷ', '𝟙', '漢', '字', 'か', 'カ', '한', 'ㄅ', 'ก', '่', 'ह', 'ǅ', 'ʰ', '𝒜'],
  ...[
    '!',
    '.',
    ',',
    '/',
    '-',
    '_',
    '(',
    ')',
    '"',
    '$',
    '+',
    '<',
    '|',
    '`',
    '，',
    '。',
    '…',
    '—',
    '€',
    '😀',
    '🏽',
    '\ue000',
  ],
];

function options(argv) {
  const value = (name, fallback) => (argv.includes(name) ? Number(argv[argv.indexOf(name) + 1]) : fallback);
  return { folder: argv[2], random: value('--random', 40), seed: value('--seed', 1) };
}

/** Texts of random parts, the same for the same seed. */
function randomTexts(count, seed) {
  let state = seed >>> 0;
  const below = (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  return Array.from({ length: count }, () =>
    Array.from({ length: 1 + below(24) }, () => ALPHABET[below(ALPHABET.length)]).join(''),
  );
}

function lengthCode(length) {
  return length < 36 ? length.toString(36) : `(${length})`;
}

const { folder, random, seed } = options(process.argv);
if (folder === undefined) {
  console.error('usage: record-splits.mjs FOLDER [--random COUNT] [--seed SEED] (FOLDER has node_modules/tokenizers)');
  process.exit(2);
}
const { Tokenizer } = createRequire(join(folder, 'package.json'))('tokenizers');
const texts = [...TEXTS, ...randomTexts(random, seed)];
const rules = Object.fromEntries(
  Object.entries(RULES).map(([name, pretokenizers]) => {
    const tokenizer = Tokenizer.fromString(
      JSON.stringify({
        version: '1.0',
        added_tokens: [],
        pre_tokenizer: { type: 'Sequence', pretokenizers },
        model: { type: 'BPE', vocab: {}, merges: [] },
      }),
    );
    const pre = tokenizer.getPreTokenizer();
    const lengths = texts.map((text) => pre.preTokenizeString(text).map(([piece]) => piece.length));
    texts.forEach((text, i) => {
      const total = lengths[i].reduce((sum, length) => sum + length, 0);
      if (total !== text.length) throw new Error(`${name} loses text: ${JSON.stringify(text)}`);
    });
    return [name, lengths.map((all) => all.map(lengthCode).join(''))];
  }),
);
process.stdout.write(`${JSON.stringify({ texts, rules }, null, 1)}\n`);
