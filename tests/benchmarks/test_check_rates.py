import check_rates


def test_rates_count_networks_by_kind_and_level() -> None:
    networks = {
        "plain": [{}, {"zero gradients": "warning"}],
        "hiding": [{"zero gradients": "alarm"}, {"random output": "alarm"}],
    }
    found = check_rates.rates(networks)
    assert found["zero gradients"] == {
        "plain, alarm": 0.0, "plain, any": 0.5, "hiding, alarm": 0.5, "hiding, any": 0.5,
    }  # fmt: skip
    assert check_rates.any_alarm(networks["hiding"]) == 1.0
    assert check_rates.any_alarm(networks["plain"]) == 0.0
    assert "| random output | 0 | 0 | 50 | 50 |" in check_rates.table(found)
