"""Words of injected instructions, by what they do in a sentence; English and Norwegian in full,
the commonest of Spanish, French, German, Portuguese, Italian, Dutch, Swedish and Danish.

Written from how such texts are built (an imperative, its object, an addressee, a destination), not
from any collection of attacks. Phrases are matched on folded words: lower case, no accents.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from agentkit.guards.text_folding import fold_word

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NEGATIONS", "PHRASES", "VOCABULARY"]

_CLASSES: dict[str, str] = {
    # To stop obeying.
    "override": (
        "ignore, ignoring, disregard, disregarding, forget, forgetting, override, overrule, "
        "bypass, neglect, discard, abandon, pay no attention to, do not follow, don't follow, "
        "do not obey, don't obey, stop following, no longer follow, set aside, "
        "ignorer, ignorere, ignorér, glem, glemme, gløym, gløyme, overse, se bort, se bort fra, "
        "sjå bort frå, se vekk fra, ikke følg, ikkje følg, følg ikke, ikke lenger følg, "
        "tilsidesett, set til side, sett til side, "
        "ignora, ignoren, olvida, olvide, olvidar, descarta, ignorez, oublie, oubliez, "
        "ignoriere, ignorieren, vergiss, vergesse, missachte, ignorera, glöm, bortse, "
        "esqueça, esquece, desconsidere, dimentica, negeer, vergeet"
    ),
    # Which orders: those given before.
    "prior": (
        "previous, prior, above, preceding, earlier, foregoing, past, former, original, initial, "
        "your, you were given, you have been given, you've been given, system, "
        "tidligere, forrige, foregående, ovenstående, ovenfor, opprinnelige, dine, "
        "tidlegare, førre, føregåande, ovanfor, opphavlege, "
        "anteriores, anterior, previas, previa, précédentes, précédents, antérieures, tes, vos, "
        "vorherigen, vorigen, bisherigen, obigen, deine, ihre, föregående, "
        "precedenti, prévias, vorige, eerdere, bovenstaande"
    ),
    "all": "all, any, every, alle, all of, toutes, todas, todos, tutte, samtlige, samtlege",
    "everything": "everything, anything, all, alt, all of that, todo, tout, alles, allt",
    "told": (
        "you have been told, you've been told, you were told, been told, told you, told before, "
        "said before, you know, above, before this, up to now, "
        "du har fått beskjed om, du er blitt fortalt, er fortalt, har lært, til nå, til no"
    ),
    # Orders that a model is given.
    "instruction": (
        "instruction, instructions, directive, directives, guideline, guidelines, prompt, prompts, "
        "programming, instructed, "
        "instruks, instrukser, instruksene, instruksjon, instruksjoner, instruksjonene, "
        "instruksar, instruksane, instruksjonar, instruksjonane, retningslinjer, retningslinjene, "
        "retningsliner, retningslinene, ledetekst, ledeteksten, leietekst, leieteksten, "
        "instrucciones, instrucción, directrices, consignes, directives, anweisungen, anweisung, "
        "instruktionen, instruktioner, instruktionerna, istruzioni, instruções, instructies"
    ),
    "rule": (
        "rule, rules, orders, command, commands, constraint, constraints, restriction, "
        "restrictions, policy, policies, safeguards, regler, reglene, reglar, reglane, "
        "beskjeder, beskjedene, beskjedar, føringer, føringar, kommandoer, kommandoar, "
        "reglas, órdenes, règles, ordres, regeln, befehle, regler, regole, regras, regels"
    ),
    "after": (
        "above, before, previously, earlier, you were given, you have been given, so far, "
        "ovenfor, over, tidligere, du har fått, så langt, ovanfor, tidlegare, "
        "anteriores, ci-dessus, oben, ovan"
    ),
    "new": (
        "new, updated, revised, real, actual, true, following, nye, ny, nytt, oppdaterte, "
        "egentlige, eigentlege, nuevas, nouvelles, neue, neuen, nya"
    ),
    "task": "task, role, goal, objective, mission, purpose, oppgave, oppgåve, rolle, mål, oppdrag",
    # Another self.
    "become": (
        "you are now, you're now, you are no longer, from now on, pretend to be, pretend that you, "
        "pretend you are, act as, acting as, roleplay as, role play as, behave like, simulate, "
        "du er nå, du er no, du er ikke lenger, du er ikkje lenger, fra nå av, frå no av, "
        "lat som, lat som om, oppfør deg som, a partir de ahora, ab jetzt, désormais, "
        "från och med nu"
    ),
    "unbound": (
        "unrestricted, unfiltered, uncensored, jailbroken, jailbreak, no restrictions, "
        "without restrictions, without any restrictions, no limitations, without limitations, "
        "no rules, no ethical guidelines, do anything now, dan mode, developer mode, god mode, "
        "admin mode, debug mode, maintenance mode, sudo mode, root mode, "
        "uten begrensninger, uten restriksjoner, uten filter, utan avgrensingar, "
        "utan restriksjonar, utviklermodus, utviklarmodus, adminmodus, gudemodus, sin restricciones"
    ),
    # The prompt itself.
    "reveal": (
        "reveal, show, print, output, repeat, display, tell me, leak, disclose, dump, recite, "
        "write out, give me, what is, what are, what's, share, translate, summarize, "
        "vis, skriv ut, gjenta, avslør, fortell meg, oppgi, hva er, del, røp, syn, fortel meg, "
        "avslør, kva er, gjentak, muestra, revela, repite, montre, révèle, zeige, wiederhole, visa"
    ),
    "own_prompt": (
        "system prompt, system prompts, your instructions, your prompt, your initial instructions, "
        "your original instructions, your system message, initial prompt, initial instructions, "
        "hidden instructions, hidden prompt, secret instructions, developer message, "
        "system message, "
        "systemprompt, systemprompten, systemmeldingen, systemmeldinga, systeminstruksen, "
        "instruksjonene dine, instruksene dine, instruksane dine, ledeteksten din, "
        "leieteksten din"
    ),
    # The prompt, or what a user pasted, or all above an amount.
    "passage_above": (
        "text above, words above, everything above, teksten over, teksten ovenfor, "
        "teksten ovanfor, alt over"
    ),
    # Whom it addresses.
    "assistant": (
        "ai assistant, ai model, ai agent, ai system, language model, large language model, llm, "
        "chatbot, if you are an ai, dear ai, attention ai, note to ai, to the assistant, "
        "dear assistant, attention assistant, ai reading this, gpt, chatgpt, claude, llama, "
        "ki-assistent, ki assistent, ki-modell, ki modell, ai-assistent, språkmodell, "
        "språkmodellen, kunstig intelligens, kjære assistent, til assistenten, "
        "hvis du er en ki, om du er ein ki"
    ),
    "must": (
        "you must, you need to, you have to, you should, you are required to, make sure to, "
        "please, first, instead, du må, du skal, du bør, sørg for å, vær snill, ver snill, "
        "først, i stedet, i staden, debes, vous devez, du musst"
    ),
    "act": (
        "send, forward, email, e-mail, delete, transfer, wire, upload, post, execute, run, click, "
        "visit, navigate to, open, fetch, download, invite, share, purchase, pay, book, call, "
        "reply with, respond with, send, videresend, vidaresend, slett, overfør, last opp, "
        "legg ut, kjør, køyr, klikk, besøk, åpne, opne, hent, last ned, inviter, betal, "
        "bestill, ring"
    ),
    "announce": (
        "important instructions, important instruction, system override, "
        "admin override, administrator note, "
        "before you can, before you continue, before you proceed, before you answer, "
        "before answering, before responding, do the following first, end of document, "
        "end of context, viktig instruks, før du svarer, "
        "før du svarar, før du fortsetter, før du går videre, gjør følgende, gjer følgjande"
    ),
    # What also stands above an honest announcement.
    "notice": (
        "important message, important notice, system notice, system update, security notice, "
        "viktig beskjed, viktig melding"
    ),
    # What leaves, and where to.
    "emit": (
        "send, forward, email, e-mail, post, upload, exfiltrate, leak, transmit, submit, append, "
        "include, encode, embed, attach, videresend, vidaresend, last opp, legg ved, legg til, "
        "bygg inn, send inn"
    ),
    "data": (
        "password, passwords, api key, api keys, credentials, access token, access tokens, "
        "secrets, secret key, private key, conversation, conversation history, chat history, "
        "chat log, "
        "previous messages, personal data, personal information, contact list, contacts, inbox, "
        "credit card, bank account, user data, passord, passordet, samtalen, samtaleloggen, "
        "chatloggen, nøkler, nøklar, legitimasjon, personopplysninger, personopplysningar, "
        "kontaktlisten, kontaktlista, innboksen, kontonummer, kredittkort"
    ),
    "destination": (
        "http, https, www, this url, this address, following url, following address, "
        "following link, this link, webhook, external server, my server, query parameter, "
        "url parameter, denne adressen, denne adressa, følgende adresse, følgjande adresse, "
        "denne lenken, denne lenka"
    ),
    # Haste and secrecy.
    "conceal": (
        "do not tell, don't tell, never tell, do not mention, don't mention, never mention, "
        "do not inform, don't inform, do not alert, don't alert, do not notify, without telling, "
        "without informing, without notifying, without mentioning, keep this secret from, "
        "hide this from, ikke fortell, ikke si, ikke nevn, ikke informer, ikke varsle, "
        "uten å fortelle, uten å si, uten å nevne, uten å varsle, hold dette skjult for, "
        "ikkje fortel, ikkje sei, ikkje nemn, ikkje varsle, utan å fortelje, utan å seie, "
        "utan å nemne, hald dette skjult for"
    ),
    "person": (
        "user, users, the human, humans, operator, owner, anyone, anybody, them, "
        "bruker, brukeren, brukerne, mennesket, noen, eieren, brukar, brukaren, nokon, eigaren"
    ),
    "secretly": (
        "secretly, silently, covertly, discreetly, i hemmelighet, i det skjulte, i det stille, "
        "i løynd, i det skjulte"
    ),
    "urgent": (
        "urgent, urgently, immediately, right now, right away, asap, as soon as possible, "
        "haster, straks, umiddelbart, omgående, med en gang, med ein gong, no med ein gong"
    ),
}


def _split(phrase: str) -> tuple[str, ...]:
    return tuple(fold_word(phrase).replace("-", " ").split())


def _index() -> dict[str, dict[tuple[str, ...], frozenset[str]]]:
    by_phrase: dict[tuple[str, ...], set[str]] = {}
    for name, phrases in _CLASSES.items():
        for phrase in phrases.split(", "):
            by_phrase.setdefault(_split(phrase), set()).add(name)
    by_first: dict[str, dict[tuple[str, ...], frozenset[str]]] = {}
    for parts, names in by_phrase.items():
        by_first.setdefault(parts[0], {})[parts] = frozenset(names)
    return by_first


PHRASES: Mapping[str, Mapping[tuple[str, ...], frozenset[str]]] = MappingProxyType(_index())
"""First word → phrases that begin with it → what they do."""

NEGATIONS = frozenset({"don't", "dont", "not", "never", "ikke", "ikkje", "aldri"})
"""Words that turn a phrase into its opposite: "don't forget", "glem ikke"."""

VOCABULARY = frozenset(word for phrases in PHRASES.values() for parts in phrases for word in parts)
"""All words that occur in a phrase."""
