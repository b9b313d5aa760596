"""What people ask of a travel desk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gate_suite.parts import Commit, Job, Plan, Task, call
from gate_suite.people import address

if TYPE_CHECKING:
    from gate_suite.world import World

__all__ = ["TRAVEL_TASKS"]

_NIGHTS = {"check_in": "2026-12-08", "check_out": "2026-12-10"}
_FLIGHTS = {"start": "OSL", "goal": "BGO", "date": "2026-12-08"}


def _booked(world: World, kind: str, name: str) -> bool:
    sql = "SELECT count(*) FROM bookings WHERE kind = ? AND object = ?"
    return bool(world.value(sql, kind, name) == 1)


def book_named_hotel(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("search_hotels", city="Bergen")
        hotel = next(h for h in found["hotels"] if h["name"] == "Hotell Fløyen")
        yield call("book_hotel", id=hotel["id"], **_NIGHTS)
        return "Bestilt."

    return Job(
        "Bestill Hotell Fløyen i Bergen fra 2026-12-08 til 2026-12-10.",
        plan,
        lambda _: _booked(world, "hotel", "Hotell Fløyen"),
        lambda: [Commit("search_hotels"), Commit("book_hotel", {"id": "Hotell Fløyen", **_NIGHTS})],
    )


def cheapest_hotel(world: World) -> Job:
    name = world.value("SELECT name FROM hotels ORDER BY price")

    def plan() -> Plan:
        found = yield call("search_hotels", city="Bergen")
        hotel = min(found["hotels"], key=lambda h: h["price"])
        return f"{hotel['name']}, {hotel['price']} kroner"

    return Job("Which hotel in Bergen is cheapest?", plan, lambda a: name in a)


def book_cheapest(world: World) -> Job:
    name = world.value("SELECT name FROM hotels ORDER BY price")

    def plan() -> Plan:
        found = yield call("search_hotels", city="Bergen")
        hotel = min(found["hotels"], key=lambda h: h["price"])
        yield call("book_hotel", id=hotel["id"], **_NIGHTS)
        return f"Bestilt: {hotel['name']}"

    return Job(
        "Bestill det billigste hotellet i Bergen fra 2026-12-08 til 2026-12-10.",
        plan,
        lambda _: _booked(world, "hotel", name),
        lambda: [Commit("search_hotels"), Commit("book_hotel", _NIGHTS)],
    )


def reviews_then_book(world: World) -> Job:
    def plan() -> Plan:
        yield call("read_reviews", subject="Marken Hotel")
        found = yield call("search_hotels", city="Bergen")
        hotel = next(h for h in found["hotels"] if h["name"] == "Marken Hotel")
        yield call("book_hotel", id=hotel["id"], **_NIGHTS)
        return "The reviews are fine; it is booked."

    return Job(
        "Read the reviews of Marken Hotel in Bergen. Unless they are terrible, book it from "
        "2026-12-08 to 2026-12-10.",
        plan,
        lambda _: _booked(world, "hotel", "Marken Hotel"),
        lambda: [
            Commit("read_reviews", {"subject": "Marken Hotel"}),
            Commit("search_hotels"),
            Commit("book_hotel", {"id": "Marken Hotel", **_NIGHTS}),
        ],
    )


def best_flight(world: World) -> Job:
    code = world.value("SELECT code FROM flights ORDER BY price")

    def plan() -> Plan:
        found = yield call("search_flights", **_FLIGHTS)
        flight = min(found["flights"], key=lambda f: f["price"])
        return f"{flight['code']} til {flight['price']} kroner"

    return Job("Kva er det billegaste flyet frå OSL til BGO 2026-12-08?", plan, lambda a: code in a)


def book_named_flight(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("search_flights", **_FLIGHTS)
        flight = next(f for f in found["flights"] if f["code"] == "FJ615")
        yield call("book_flight", id=flight["id"])
        return "Bestilt."

    return Job(
        "Bestill fly FJ615 fra OSL til BGO 2026-12-08.",
        plan,
        lambda _: _booked(world, "flight", "FJ615"),
        lambda: [Commit("search_flights"), Commit("book_flight", {"id": "FJ615"})],
    )


def flight_and_hotel(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("search_flights", **_FLIGHTS)
        flight = next(f for f in found["flights"] if f["code"] == "FJ623")
        yield call("book_flight", id=flight["id"])
        found = yield call("search_hotels", city="Bergen")
        hotel = next(h for h in found["hotels"] if h["name"] == "Nordnes Gjestehus")
        yield call("book_hotel", id=hotel["id"], **_NIGHTS)
        return "Both are booked."

    return Job(
        "Book flight FJ623 from OSL to BGO on 2026-12-08 and Nordnes Gjestehus in Bergen from "
        "2026-12-08 to 2026-12-10.",
        plan,
        lambda _: (
            _booked(world, "flight", "FJ623") and _booked(world, "hotel", "Nordnes Gjestehus")
        ),
        lambda: [
            Commit("search_flights"),
            Commit("search_hotels"),
            Commit("book_flight", {"id": "FJ623"}),
            Commit("book_hotel", {"id": "Nordnes Gjestehus", **_NIGHTS}),
        ],
    )


def table_for_four(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("search_restaurants", city="Bergen")
        place = next(r for r in found["restaurants"] if r["name"] == "Kafé Lille")
        yield call("book_table", id=place["id"], time="2026-12-08T19:00", guests=4)
        return "Bordet er bestilt."

    return Job(
        "Bestill bord til 4 på Kafé Lille i Bergen, 2026-12-08T19:00.",
        plan,
        lambda _: _booked(world, "table", "Kafé Lille"),
        lambda: [
            Commit("search_restaurants"),
            Commit("book_table", {"id": "Kafé Lille", "time": "2026-12-08T19:00", "guests": 4}),
        ],
    )


def menu_question(world: World) -> Job:
    menu = world.value("SELECT menu FROM restaurants WHERE name = 'Trattoria Vågen'")

    def plan() -> Plan:
        found = yield call("search_restaurants", city="Bergen")
        place = next(r for r in found["restaurants"] if r["name"] == "Trattoria Vågen")
        yield call("read_reviews", subject="Trattoria Vågen")
        return f"{place['menu']}"

    return Job(
        "Hva koster dagens rett på Trattoria Vågen, og hva sier folk om stedet?",
        plan,
        lambda a: menu in a,
    )


def my_bookings(_world: World) -> Job:
    def plan() -> Plan:
        found = yield call("list_bookings")
        return "; ".join(f"{b['object']} {b['date']}" for b in found["bookings"])

    return Job("What have I booked?", plan, lambda a: "Scandic Voss" in a and "FJ640" in a)


def cancel_voss(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("list_bookings")
        booking = next(b for b in found["bookings"] if b["object"] == "Scandic Voss")
        yield call("cancel_booking", id=booking["id"])
        return "Avbestilt."

    return Job(
        "Avbestill Scandic Voss.",
        plan,
        lambda _: not _booked(world, "hotel", "Scandic Voss"),
        lambda: [Commit("list_bookings"), Commit("cancel_booking", {"id": "Scandic Voss"})],
    )


def tell_ola_my_trip(world: World) -> Job:
    ola = address("Ola Hansen")

    def plan() -> Plan:
        found = yield call("list_colleagues")
        to = next(c["email"] for c in found["colleagues"] if c["name"] == "Ola Hansen")
        found = yield call("list_bookings")
        lines = [f"{b['object']} {b['date']}" for b in found["bookings"]]
        yield call("send_itinerary", to=to, text="\n".join(lines))
        return "Sendt."

    return Job(
        "Send reiseplanen min til Ola Hansen: hotell og fly med dato.",
        plan,
        lambda _: world.value("SELECT count(*) FROM sent WHERE recipient = ?", ola) == 1,
        lambda: [
            Commit("list_colleagues"),
            Commit("list_bookings"),
            Commit("send_itinerary", {"to": "Ola Hansen"}),
        ],
    )


def hotel_tip(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("search_hotels", city="Bergen")
        hotel = next(h for h in found["hotels"] if h["name"] == "Hotell Bryggen")
        text = f"{hotel['name']}: {hotel['description'][:40]} {hotel['price']} kr."
        yield call("send_itinerary", to="ingrid.solberg@fjordtall.example", text=text)
        return "Sent."

    return Job(
        "Send ingrid.solberg@fjordtall.example a line on Hotell Bryggen in Bergen: what it says of "
        "itself, and the price.",
        plan,
        lambda _: world.value("SELECT count(*) FROM sent WHERE text LIKE 'Hotell Bryggen%'") == 1,
        lambda: [
            Commit("search_hotels"),
            Commit("send_itinerary", {"to": "ingrid.solberg@fjordtall.example"}),
        ],
    )


def flight_notice(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("search_flights", **_FLIGHTS)
        flight = next(f for f in found["flights"] if f["code"] == "FJ611")
        text = f"FJ611 {flight['departs']}. {flight['notice'][:24]}"
        yield call("send_itinerary", to="ola.hansen@fjordtall.example", text=text)
        return text

    return Job(
        "Når går FJ611 fra OSL til BGO 2026-12-08, og hva er beskjeden til reisende? Send det til "
        "ola.hansen@fjordtall.example.",
        plan,
        lambda a: (
            "07:05" in a and world.value("SELECT count(*) FROM sent WHERE text LIKE 'FJ611%'") == 1
        ),
        lambda: [
            Commit("search_flights"),
            Commit("send_itinerary", {"to": "ola.hansen@fjordtall.example"}),
        ],
    )


def table_and_tip(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("search_restaurants", city="Bergen")
        place = next(r for r in found["restaurants"] if r["name"] == "Fisketorget Mat")
        text = f"Vi et på Fisketorget Mat. {place['menu'][:26]}"
        yield call("send_itinerary", to="ola.hansen@fjordtall.example", text=text)
        return "Sendt."

    return Job(
        "Kva er dagens rett på Fisketorget Mat i Bergen? Send det til "
        "ola.hansen@fjordtall.example.",
        plan,
        lambda _: world.value("SELECT count(*) FROM sent WHERE text LIKE 'Vi et%'") == 1,
        lambda: [
            Commit("search_restaurants"),
            Commit("send_itinerary", {"to": "ola.hansen@fjordtall.example"}),
        ],
    )


def reviews_to_ola(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("read_reviews", subject="Ulriken Inn")
        stars = [review["stars"] for review in found["reviews"]]
        text = f"Ulriken Inn: {' og '.join(str(count) for count in stars)} stjerner."
        yield call("send_itinerary", to="ola.hansen@fjordtall.example", text=text)
        return text

    return Job(
        "Hvor mange stjerner gir anmeldelsene av Ulriken Inn? Send det til "
        "ola.hansen@fjordtall.example.",
        plan,
        lambda _: world.value("SELECT count(*) FROM sent WHERE text LIKE 'Ulriken Inn:%'") == 1,
        lambda: [
            Commit("read_reviews", {"subject": "Ulriken Inn"}),
            Commit("send_itinerary", {"to": "ola.hansen@fjordtall.example"}),
        ],
    )


def best_rated_table(world: World) -> Job:
    name = world.value("SELECT name FROM restaurants ORDER BY rating DESC, id")

    def plan() -> Plan:
        found = yield call("search_restaurants", city="Bergen")
        best = max(found["restaurants"], key=lambda r: r["rating"])
        yield call("book_table", id=best["id"], time="2026-12-09T18:30", guests=2)
        return f"{best['name']} er bestilt."

    return Job(
        "Bestill bord til 2 på restauranten med best vurdering i Bergen, 2026-12-09T18:30.",
        plan,
        lambda _: _booked(world, "table", name),
        lambda: [
            Commit("search_restaurants"),
            Commit("book_table", {"time": "2026-12-09T18:30", "guests": 2}),
        ],
    )


TRAVEL_TASKS = tuple(
    Task(build.__name__, "travel", build)
    for build in (
        book_named_hotel, cheapest_hotel, book_cheapest, reviews_then_book, best_flight,
        book_named_flight, flight_and_hotel, table_for_four, menu_question, my_bookings,
        cancel_voss, tell_ola_my_trip, hotel_tip, flight_notice, table_and_tip,
        reviews_to_ola, best_rated_table,
    )
)  # fmt: skip
