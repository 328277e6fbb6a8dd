#!/usr/bin/env python3
"""Records what Python's jinja2, set up as transformers does for chat templates, makes of many small templates.

    python3 scripts/record-jinja.py > test/fixtures/jinja-pairs.json
    python3 scripts/record-jinja.py --generated 20000 --seed 7 > /tmp/pairs.json    (a search for differences)
    STARLING_JINJA_PAIRS=/tmp/pairs.json node --test dist/test/unit/coordinator/model/template/jinja/pairs.test.js

Needs jinja2 3.1. The result has the variables that all templates see, and pairs of a template and its text or the kind
of its error: syntax, raised (by raise_exception) or runtime.
"""

import argparse
import copy
import json
import random
import re
import signal
import sys

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox


class Generation(jinja2.ext.Extension):
    """The tag that marks what the assistant said; a block that changes nothing."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


class Raised(Exception):
    pass


def raise_exception(message):
    raise Raised(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def make_environment():
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols", "jinja2.ext.do"]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    return environment


DATA = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi <there> & \"you\"\n it's"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"type": "function", "id": "c1", "function": {"name": "sum", "arguments": {"b": 2, "a": [1, None, True]}}}
            ],
        },
        {"role": "tool", "content": "3", "name": "sum", "tool_call_id": "c1"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "sum",
                "description": "Adds.",
                "parameters": {"type": "object", "properties": {"a": {"type": "array"}}, "required": ["a"]},
            },
        }
    ],
    "s": "Hello, World",
    "t": "  two  words\t\n",
    "u": "naïve Straße 😀 ΑΣ é",
    "e": "",
    "w": "a-b_c d.e,f",
    "lines": "one\ntwo\r\nthree\n\nfive",
    "n": 7,
    "z": 0,
    "m": -3,
    "f": 2.5,
    "g": -0.125,
    "big": 1234567890123,
    "yes": True,
    "no": False,
    "nil": None,
    "xs": [3, 1, 2],
    "ys": ["b", "A", "c", "a"],
    "mix": [1, "1", None, 2.5, True, [0]],
    "empty": [],
    "d": {"b": 1, "a": 2, "items": 3, "C": {"x": "y"}},
    "none_key": {},
    "people": [
        {"name": "Ann", "age": 30, "tags": ["x"]},
        {"name": "bob", "age": 25, "tags": []},
        {"name": "Cid", "age": 30},
    ],
    "tree": [{"v": 1, "c": [{"v": 2, "c": []}, {"v": 3, "c": [{"v": 4, "c": []}]}]}],
}

HAND = open(__file__.replace("record-jinja.py", "jinja-cases.txt"), encoding="utf-8").read()


def hand_written():
    for line in HAND.split("\n"):
        if line.startswith("%% "):
            yield line[3:].replace("␤", "\n").replace("␍", "\r").replace("␉", "\t")
        elif line and not line.startswith("##"):
            yield "{{ " + line + " }}"


ATOMS = (
    "s t u e w lines n z m f g big yes no nil xs ys mix empty d people missing messages tools "
    "0 1 2 -1 3 10 1.0 0.5 -2.5 1e20 1e-7 'a' 'Ab c' '' 'l' ',' ' ' 'x y z' \"it's\" 'name' 'age' true false none "
    "[] [1,2] ['a','b'] (1,2) (1,) () {} {'a':1} {1:'x'} range(3) [[1,2],[3]] messages[0] messages[1].content d.b "
    "people[0] s[0] 'é😀' '%s' '%d' '{}' '{0}' '5' '-7' ' 42 ' '3.9' '1_0' 'nan'"
)


def atoms():
    found = re.findall(r"\"[^\"]*\"|'[^']*'|\S*\([^)]*\)|\{[^}]*\}|\[\[.*?\]\]|\S+", ATOMS)
    return [atom for atom in found if balanced(atom)]


def balanced(text):
    try:
        make_environment().parse("{{ " + text + " }}")
        return True
    except jinja2.TemplateSyntaxError:
        return False


FILTERS = (
    "abs capitalize center(9) count default default('z') default('z',true) dictsort dictsort(by='value') "
    "dictsort(reverse=true) escape first float float(1.5) format(1) format('a','b') int int(5) int(base=16) indent "
    "indent(2,true) indent('>>',blank=true) items|list join join('-') join(', ') last length list lower upper "
    "max min reject|list reverse|list reverse round round(1) round(1,'floor') round(0,'ceil') select|list sort "
    "sort(reverse=true) sort(case_sensitive=true) string sum title tojson tojson(indent=2) tojson(sort_keys=true) trim trim('ad') "
    "truncate(5) truncate(5,true) truncate(3,true,'.') unique|list upper urlencode wordcount xmlattr striptags safe e "
    "map('upper')|list map('length')|list map(attribute='name')|list map(attribute='name',default='?')|list "
    "selectattr('name')|list selectattr('age','==',30)|list rejectattr('age','in',[25])|list groupby('age')|list "
    "batch(2)|list batch(2,'-')|list slice(2)|list slice(2,0)|list replace('a','b') replace('','-') replace('l','L',1) "
    "sum(attribute='age') sort(attribute='name') attr('name') filesizeformat filesizeformat(true) length|string "
    "list|length first|default('none') select('string')|list reject('none')|list select('odd')|list select('in',[1,'a'])|list "
    "map('int')|sum map('string')|join sort|first items|first last|upper min(attribute='age') unique(attribute='age')|list"
).split()

TESTS = (
    "defined undefined none string number integer float boolean mapping sequence iterable callable true false odd even "
    "divisibleby(2) divisibleby(3) eq(1) equalto(1) ne('a') lt(3) ge(2) in([1,'a']) lower upper escaped sameas(none) filter test"
).split()

METHODS = (
    "upper() lower() strip() lstrip() rstrip() strip('a') split() split(',') split(' ',1) rsplit(' ',1) split(maxsplit=1) splitlines() "
    "splitlines(true) title() capitalize() swapcase() casefold() find('l') rfind('l') index('a') count('l') count('') "
    "startswith('H') endswith('d') startswith(('a','H')) replace('l','L') replace('l','L',1) replace('','.') removeprefix('He') "
    "removesuffix('ld') partition(' ') rpartition(' ') partition(',') zfill(6) ljust(8) rjust(8,'*') center(7) center(8,'*') "
    "isdigit() isalpha() isalnum() isspace() isupper() islower() istitle() isnumeric() isdecimal() isidentifier() isascii() "
    "join(['a','b']) join(ys) expandtabs(4) format(1) format('a',b=2) get('a') get('q') get('q',5) items() keys() values() "
    "copy() append(1) pop() update({}) keys()|list items()|list values()|list format(n) find('o',5) find('') count(1) index(1) "
    "name age content role items encode() real foo foo.bar b C.x __class__ length 0"
).split()

BINARY = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]
SUBSCRIPTS = "[0] [-1] [1:] [:2] [::2] [::-1] [-2:] [1:2] ['name'] ['a'] ['items'] [99] [5:1:-1] [n] [none] [:-1] [true] [1.0] [:0]".split()


def generated(count, seed):
    source = random.Random(seed)
    basis = atoms()

    def expression(depth):
        if depth == 0:
            return source.choice(basis)
        kind = source.random()
        inner = expression(depth - 1)
        if kind < 0.35:
            return f"{inner}|{source.choice(FILTERS)}"
        if kind < 0.55:
            return f"({inner}).{source.choice(METHODS)}"
        if kind < 0.75:
            return f"{inner} {source.choice(BINARY)} {expression(depth - 1)}"
        if kind < 0.83:
            return f"{inner}{source.choice(SUBSCRIPTS)}" if source.random() < 0.5 else f"({inner}){source.choice(SUBSCRIPTS)}"
        if kind < 0.9:
            return f"{inner} is {source.choice(['', 'not '])}{source.choice(TESTS)}"
        if kind < 0.94:
            return f"{source.choice(['not', '-', '+'])} {inner}"
        if kind < 0.97:
            return f"{inner} if {expression(depth - 1)} else {source.choice(basis)}"
        return f"[{inner}, {source.choice(basis)}]"

    def statement(depth):
        kind = source.randrange(14)
        text = source.choice(["a", " b ", "\n", " \n  ", "\tc\n", "", "x\n", "\r\n"])
        if depth == 0 or kind < 3:
            left, right = source.choice([("{{", "}}"), ("{{-", "}}"), ("{{", "-}}"), ("{{-", "-}}"), ("{{+", "}}")])
            return f"{text}{left} {expression(source.randrange(2))} {right}{source.choice(['', chr(10), ' '])}"

        def tag(body):
            return source.choice(["{%", "{%-", "{%", "{%+"]) + f" {body} " + source.choice(["%}", "-%}", "%}", "+%}"])

        inner = statement(depth - 1)
        other = statement(depth - 1)
        name = source.choice(["x", "y", "n", "s"])
        if kind == 3:
            return f"{text}{tag('for ' + name + ' in ' + source.choice(basis))}{inner}{{{{ loop.{source.choice(['index', 'last', 'first', 'revindex', 'length', 'previtem', 'nextitem', 'depth0'])} }}}}{{{{ {name} }}}}{other}{tag('endfor')}{text}{{{{ {name} }}}}"
        if kind == 4:
            return f"{tag('for ' + name + ' in ' + source.choice(basis) + ' if ' + name + ' is ' + source.choice(TESTS))}{text}{{{{ {name} }}}}{tag('else')}{inner}{tag('endfor')}"
        if kind == 5:
            return f"{tag('if ' + expression(1))}{text}{inner}{tag('elif ' + expression(1))}{other}{tag('else')}{text}{tag('endif')}{text}"
        if kind == 6:
            return f"{text}{tag('set ' + name + ' = ' + expression(1))}{text}{inner}{{{{ {name} }}}}"
        if kind == 7:
            return f"{tag('set ' + name + source.choice(['', '|upper', '|trim', '|length', '|replace(1,2)']))}{text}{inner}{tag('endset')}{{{{ {name} }}}}{text}"
        if kind == 8:
            return f"{tag('macro f(a, b=' + source.choice(basis) + ')')}{text}{{{{ a }}}}{inner}{{{{ b }}}}{tag('endmacro')}{text}{{{{ f({source.choice(['', '1', '1, 2', 'b=3', 'a=s', '1,2,3', 'q=1'])}) }}}}"
        if kind == 9:
            cut = source.choice(["break", "continue"])
            return f"{tag('for ' + name + ' in range(4)')}{text}{tag('if loop.index ' + source.choice(['>', '==', '<', '>=']) + ' 2')}{inner}{tag(cut)}{tag('endif')}{{{{ loop.index }}}}{tag('else')}none{tag('endfor')}"
        if kind == 10:
            return f"{tag('filter ' + source.choice(['upper', 'trim', 'indent(2)', 'replace(1, 2)', 'title', 'length']))}{text}{inner}{tag('endfilter')}{text}"
        if kind == 11:
            return f"{text}{tag('with ' + name + ' = ' + source.choice(basis))}{inner}{{{{ {name} }}}}{tag('endwith')}{other}"
        if kind == 12:
            return f"{text}{source.choice(['{#', '{#-', '{#+'])} c {source.choice(['#}', '-#}', '+#}'])}{text}{inner}{source.choice(['{% raw %}', '{%- raw -%}'])}{text}{{{{ raw }}}}{text}{tag('endraw')}{text}"
        return f"{tag('set ns = namespace(v=' + source.choice(basis) + ')')}{tag('for i in range(2)')}{tag('set ns.v = ' + source.choice(basis))}{inner}{tag('endfor')}{{{{ ns.v }}}}{text}"

    for index in range(count):
        if index % 3 == 2:
            yield statement(source.choice([1, 2, 2, 3]))
        else:
            yield "{{ " + expression(source.choice([1, 1, 2, 2, 3])) + " }}"


# What Starling refuses by name, and slices of numbers, which are nothing where jinja2 folds constants.
REFUSED = re.compile(
    r"\|\s*(random|urlize|wordwrap)|\.(real|encode|__class__)\b|(\d|true|none|false|\))\)?\[[^\]]*:"
)
ADDRESS = re.compile(r" at 0x[0-9a-f]+|<(built-in|bound) method|<class |<Macro |<function ", re.I)


def too_slow(*_):
    raise TimeoutError


def record(environment, template):
    signal.alarm(2)
    try:
        text = environment.from_string(template).render(**copy.deepcopy(DATA))
    except jinja2.TemplateSyntaxError:
        return {"template": template, "error": "syntax"}
    except Raised as error:
        return {"template": template, "error": "raised", "message": str(error)}
    except TimeoutError:
        return None
    except Exception:
        return {"template": template, "error": "runtime"}
    finally:
        signal.alarm(0)
    if ADDRESS.search(text) or REFUSED.search(template):
        return None
    return {"template": template, "text": text}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--generated", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    signal.signal(signal.SIGALRM, too_slow)
    environment = make_environment()
    pairs, seen = [], set()
    for template in [*hand_written(), *generated(options.generated, options.seed)]:
        if template in seen or len(template) > 2000:
            continue
        seen.add(template)
        pair = record(environment, template)
        if pair is not None and len(pair.get("text", "")) < 2000:
            pairs.append(pair)
    sys.stdout.write('{"data":' + json.dumps(DATA, ensure_ascii=True) + ',\n"pairs":[\n')
    sys.stdout.write(",\n".join(json.dumps(pair, ensure_ascii=True) for pair in pairs))
    sys.stdout.write("\n]}\n")


main()
