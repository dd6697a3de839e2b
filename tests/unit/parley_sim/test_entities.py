"""Who is in the world under which name, and who may come, go and be moved."""

import math

import pytest

from parley_sim.entities import Entities, WantedPose
from parley_sim.refusal import Refusal
from sim.bullet.world import BulletWorld
from tests.support.bullet_hall import hall, run, with_pallet_on_forks

BOX, PALLET = "parley://box?length=0.4&width=0.4", "parley://pallet?sku=3"
STILL = (0.0, 0.0, 0.0)


def at(x: float, y: float, z: float = 0.0, yaw: float = 0.0, frame: str = "map") -> WantedPose:
    return WantedPose(frame, (x, y, z), (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)))


def spawn(entities: Entities, uri: str, x: float, y: float, name: str = "", **more: object) -> str:
    wanted = {"allow_renaming": True, "text": "", "namespace": "", "pose": at(x, y), **more}
    return entities.spawn(name, uri=uri, **wanted)  # type: ignore[arg-type]


def refusal(act) -> tuple[str, str]:
    with pytest.raises(Refusal) as refused:
        act()
    return refused.value.result, str(refused.value)


def populated() -> tuple[BulletWorld, Entities]:
    """A robot at (5, 5), the ledger's pallet_7 at (9, 5), a pillar at (12, 5) and a spawned pallet at (14, 5)."""
    world = hall()
    world.add_pallet(7, 9.0, 5.0, 0.0, 0)
    entities = Entities(world)
    assert spawn(entities, BOX, 12.0, 5.0, "pillar") == "pillar"
    assert spawn(entities, PALLET, 14.0, 5.0) == "spawned_pallet_1"
    return world, entities


def test_everybody_is_listed_by_name_and_kind():
    _, entities = populated()
    assert entities.names() == ["robot", "pallet_7", "pillar", "spawned_pallet_1"]
    spawn(entities, BOX + "&mass=5", 16.0, 5.0, "crate")
    assert entities.select("", ["CATEGORY_STATIC_OBJECT"]) == ["pillar"]
    assert entities.select("", ["CATEGORY_DYNAMIC_OBJECT"]) == ["pallet_7", "spawned_pallet_1", "crate"]
    assert entities.select("pallet") == ["pallet_7", "spawned_pallet_1"]
    assert entities.select("^pallet", ["CATEGORY_ROBOT"]) == []
    assert entities.select("", is_within=lambda block: block.x > 13.0) == ["spawned_pallet_1", "crate"]
    assert refusal(lambda: entities.select("("))[0] == "RESULT_OPERATION_FAILED"


def test_what_was_spawned_stands_there_and_goes_again():
    world, entities = populated()
    run(world, 1.0)
    assert entities.state("spawned_pallet_1").position == pytest.approx((14.0, 5.0, 0.0), abs=1e-3)
    assert entities.state("pillar").position == pytest.approx((12.0, 5.0, 0.0), abs=1e-9)
    entities.delete("pillar")
    entities.despawn()
    assert entities.names() == ["robot", "pallet_7"]
    assert world.pallets == (7,)
    assert world.staging.boxes == ()
    assert refusal(lambda: entities.state("pillar"))[0] == "RESULT_NOT_FOUND"


@pytest.mark.parametrize(
    ("name", "result", "renamed"),
    [
        ("", "NAME_INVALID", "spawned_box_1"),
        ("pillar", "NAME_NOT_UNIQUE", "pillar_1"),
        ("robot", "NAME_NOT_UNIQUE", "robot_1"),
        ("pallet_7", "NAME_NOT_UNIQUE", "pallet_7_1"),
        ("pallet_8", "NAME_INVALID", "pallet_8_1"),  # the ledger may have one soon
    ],
)
def test_a_name_that_cannot_be_is_refused_or_changed(name, result, renamed):
    _, entities = populated()
    assert refusal(lambda: spawn(entities, BOX, 16.0, 5.0, name, allow_renaming=False))[0] == result
    assert spawn(entities, BOX, 16.0, 5.0, name) == renamed


@pytest.mark.parametrize(
    ("change", "result", "words"),
    [
        ({"name": "7 up"}, "NAME_INVALID", "a letter"),
        ({"uri": "parley://ship"}, "UNSUPPORTED_FORMAT", "parley://box"),
        ({"namespace": "/a"}, "RESULT_FEATURE_UNSUPPORTED", "topics, under their names"),
        ({"pose": at(16, 5, frame="moon")}, "INVALID_POSE", "moon"),
        ({"pose": at(math.nan, 5)}, "INVALID_POSE", "finite"),
        ({"pose": at(16, 5, z=1.0)}, "INVALID_POSE", "z is 1.00"),
        ({"pose": WantedPose("", (16, 5, 0), (0.0, 0.0, 0.0, 0.0))}, "INVALID_POSE", "0.000 long"),
        ({"pose": WantedPose("", (16, 5, 0), (0.7071, 0.0, 0.0, 0.7071))}, "INVALID_POSE", "leans"),
        ({"pose": at(25, 5)}, "INVALID_POSE", "within the floor"),
        ({"pose": at(12.2, 5)}, "RESULT_OPERATION_FAILED", "pillar"),
        ({"pose": at(14.2, 5)}, "RESULT_OPERATION_FAILED", "spawned_pallet_1"),
        ({"pose": at(5, 5)}, "RESULT_OPERATION_FAILED", "robot"),
    ],
)
def test_a_spawn_that_cannot_be_changes_nothing(change, result, words):
    world, entities = populated()
    before = (entities.names(), world.pallets, world.staging.boxes)
    wanted = {"uri": BOX, "x": 16.0, "y": 5.0, **change}
    seen, said = refusal(lambda: spawn(entities, **wanted))
    assert seen == result
    assert words in said
    assert (entities.names(), world.pallets, world.staging.boxes) == before


def test_what_belongs_to_the_fleet_stays():
    _, entities = populated()
    for name, words in (("robot", "a robot of the fleet"), ("pallet_7", "ledger")):
        result, said = refusal(lambda name=name: entities.delete(name))
        assert result == "RESULT_OPERATION_FAILED"
        assert words in said
    assert refusal(lambda: entities.delete("nobody"))[0] == "RESULT_NOT_FOUND"


def test_all_of_them_can_be_moved():
    _, entities = populated()
    for row, name in enumerate(entities.names()):
        entities.place(name, at(6.0 + 2.5 * row, 2.0, yaw=0.5), STILL, STILL)
        state = entities.state(name)
        assert state.position == pytest.approx((6.0 + 2.5 * row, 2.0, 0.0), abs=1e-6)
        assert 2 * math.atan2(state.turn[2], state.turn[3]) == pytest.approx(0.5)


def test_what_was_read_can_be_set_again_after_a_while():
    world, entities = populated()
    run(world, 2.0, v=0.3)
    for name in entities.names():
        state = entities.state(name)
        linear = state.linear if name != "robot" else STILL
        entities.place(name, WantedPose("map", state.position, state.turn), linear, STILL)
        assert entities.state(name).position == pytest.approx(state.position, abs=5e-3)


@pytest.mark.parametrize(
    ("pose", "linear", "angular", "result", "words"),
    [
        (at(9, 5), STILL, STILL, "RESULT_OPERATION_FAILED", "pallet_7 stands there"),
        (at(25, 5), STILL, STILL, "INVALID_POSE", "floor"),
        (at(6, math.inf), STILL, STILL, "INVALID_POSE", "finite"),
        (at(6, 5), (math.nan, 0.0, 0.0), STILL, "RESULT_OPERATION_FAILED", "finite"),
        (at(6, 5), (0.0, 0.0, 1.0), STILL, "RESULT_OPERATION_FAILED", "leaves the floor"),
        (None, (0.0, 1.0, 0.0), STILL, "RESULT_OPERATION_FAILED", "aside"),
    ],
)
def test_a_robot_is_not_moved_where_it_cannot_be(pose, linear, angular, result, words):
    world, entities = populated()
    before = world.pose("robot")
    seen, said = refusal(lambda: entities.place("robot", pose, linear, angular))
    assert seen == result
    assert words in said
    assert world.pose("robot") == before


def test_a_carried_pallet_is_not_moved():
    entities = Entities(with_pallet_on_forks())
    assert "carries" in refusal(lambda: entities.place("pallet_1", at(12, 3), STILL, STILL))[1]


def test_in_a_new_world_what_was_spawned_stands_where_it_began():
    world, entities = populated()
    entities.place("spawned_pallet_1", at(14.0, 2.0), STILL, STILL)
    world.close()
    world = hall()
    entities.move_to(world)
    assert entities.names() == ["robot", "pillar", "spawned_pallet_1"]
    assert entities.state("spawned_pallet_1").position == pytest.approx((14.0, 5.0, 0.0))


def test_contacts_with_a_spawned_pallet_have_its_name():
    world, entities = populated()
    entities.place("spawned_pallet_1", at(7.0, 5.0, yaw=math.pi / 2), STILL, STILL)
    run(world, 3.0, v=0.5, forks=0.15)
    others = {entities.label(contact.other) for contact in world.contacts()}
    assert others == {"spawned_pallet_1"}
    assert entities.label("pallet_7") == "pallet_7"


def test_an_amr_is_a_robot_that_may_be_spawned_moved_and_taken_away():
    world, entities = populated()
    assert spawn(entities, "parley://amr", 8.0, 3.0) == "spawned_amr_1"
    assert spawn(entities, "parley://amr", 10.0, 3.0, "walker", pose=at(10.0, 3.0, yaw=1.0)) == "walker"
    assert entities.select("", ["CATEGORY_ROBOT"]) == ["robot", "spawned_amr_1", "walker"]
    assert world.robots == ("robot",), "the fleet does not grow by it"
    world.amrs.command("walker", 0.5, 0.0)
    for _ in range(5):
        world.step()
    state = entities.state("walker")
    assert math.atan2(state.linear[1], state.linear[0]) == pytest.approx(1.0, abs=0.05)
    assert refusal(lambda: spawn(entities, BOX, 8.3, 3.0)) == (
        "RESULT_OPERATION_FAILED",
        "(8.30, 3.00) is not free: spawned_amr_1 stands there",
    )
    assert refusal(lambda: spawn(entities, "parley://amr", 5.0, 5.0))[0] == "RESULT_OPERATION_FAILED"
    assert "topics" in refusal(lambda: spawn(entities, "parley://amr", 15.0, 3.0, namespace="b"))[1]
    entities.place("walker", at(16.0, 3.0), (0.5, 0.0, 0.0), STILL)
    assert world.amrs.pose("walker")[:4] == pytest.approx((16.0, 3.0, 0.0, 0.5))
    assert "aside" in refusal(lambda: entities.place("walker", at(16.0, 3.0), (0.0, 0.5, 0.0), STILL))[1]
    fresh = hall()
    entities.move_to(fresh)
    assert fresh.amrs.names() == ("spawned_amr_1", "walker")
    assert fresh.amrs.pose("walker")[:3] == pytest.approx((10.0, 3.0, 1.0))
    entities.delete("walker")
    entities.despawn()
    assert fresh.amrs.names() == () and entities.names() == ["robot"]
