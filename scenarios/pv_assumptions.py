"""Every number of the photovoltaic world that PV_ICE's baselines do not give.

All are assumptions, plausible and declared rather than measured: they fix what the world is, they
do not forecast a market. Money is in US dollars of the year 2025.
"""

from __future__ import annotations

from scenarios.assumption import Assumption, Spread

FIRST_RETURN_YEAR, LAST_RETURN_YEAR = 2025, 2050  # from today to the end of the baselines

# When modules come back.

EARLY_LOSS_YEARS = (0.0, 2.0, 10.0, 15.0)
EARLY_LOSS_SHARE = tuple(
    Assumption(
        share,
        "1",
        "modules lost to transport, installation, storms and early faults after 0, 2, 10 and 15 "
        "years, as in the early-loss scenario of IRENA and IEA-PVPS, End-of-Life Management: Solar "
        "Photovoltaic Panels (2016); PV_ICE's lifetimes leave them out",
    )
    for share in (0.005, 0.01, 0.02, 0.04)
)

FIRST_REPOWERING_YEARS = Assumption(
    10.0, "years", "when tax credits and inverter warranties have run out"
)
REPOWERED_SHARE = Assumption(
    0.25,
    "1",
    "share of a year's modules replaced by better ones, evenly from then to the end of the "
    "project's life; PV_ICE's baseline retires all at that end",
)

# In what condition they come back.

AREA_M2 = Spread(1.75, 0.1, "m2", "modules of 60 to 72 cells have 1.6 to 2.0 m2")
DEGRADATION_FACTOR = Spread(
    1.0, 0.4, "1", "modules of one year degrade unequally: sites and makers differ"
)
GLASS_DAMAGE_BASE = Assumption(-0.55, "1", "most glass is intact when it comes back")
CELL_DAMAGE_BASE = Assumption(-0.25, "1", "small cell cracks are common even in young modules")
SEAL_DAMAGE_BASE = Assumption(-0.35, "1", "backsheet and encapsulant start sound")
GLASS_DAMAGE_BY_AGE = Assumption(0.1, "1", "glass hardly ages; handling of old modules breaks it")
CELL_DAMAGE_BY_AGE = Assumption(0.35, "1", "thermal cycles grow cracks over a lifetime")
SEAL_DAMAGE_BY_AGE = Assumption(0.65, "1", "polymers yellow and delaminate over a lifetime")
GLASS_DAMAGE_IF_FAILED = Assumption(0.35, "1", "broken glass is a common cause of a return")
GLASS_DAMAGE_IF_EARLY = Assumption(0.25, "1", "transport and storms break glass above all")
CELL_DAMAGE_IF_FAILED = Assumption(0.25, "1", "hot spots and burnt cells are another")
SEAL_DAMAGE_IF_FAILED = Assumption(0.2, "1", "so are leaking seals and cracked backsheets")
DAMAGE_SPREAD = Assumption(0.4, "1", "wide enough that age alone does not tell the condition")
DAMAGE_CORRELATION = Assumption(0.4, "1", "a harsh site or a rough haul damages every part")
CELL_POWER_LOSS = Assumption(0.35, "1", "power lost when every cell is cracked or shaded")
REPAIR_BASE_USD = Assumption(10.0, "USD", "labour, test and a junction box per module")
REPAIR_GLASS_USD = Assumption(22.0, "USD", "a new front glass and its lamination")
REPAIR_CELL_USD = Assumption(12.0, "USD", "finding and bridging the bad cells")
REPAIR_SEAL_USD = Assumption(10.0, "USD", "a new backsheet and seal")
REPAIR_FACTOR = Spread(1.0, 0.3, "1", "workshops quote differently for the same damage")
FREIGHT_KM = Spread(350.0, 0.6, "km", "few recyclers and workshops in a large country")

# What the market of a scenario pays and charges.

MODULE_PRICE_USD_PER_W = Spread(
    0.26, 0.3, "USD/W", "a new module in the United States in 2025, and its swings"
)
MODULE_PRICE_TREND = Assumption(-0.01, "1/year", "prices fall more slowly than they did")
METAL_PRICE_FACTOR = Spread(1.0, 0.3, "1", "metals swing by such factors within a decade")
LANDFILL_USD_PER_KG = Spread(
    0.11, 0.7, "USD/kg", "1 to 5 USD a module in most states, more where a toxicity test is due"
)
RECYCLING_USD_PER_KG = Spread(
    0.55, 0.3, "USD/kg", "about 18 USD per module of 20 to 30 kg at scale, to more in small plants"
)
RECYCLING_TREND = Assumption(-0.015, "1/year", "plants learn as volumes grow")
MATERIAL_USD_PER_KG = {
    "glass": Assumption(0.06, "USD/kg", "clean cullet, delivered to a glassworks"),
    "aluminium_frames": Assumption(1.9, "USD/kg", "clean extrusion scrap at a smelter"),
    "silicon": Assumption(1.5, "USD/kg", "as metallurgical silicon; the baseline purifies none"),
    "silver": Assumption(900.0, "USD/kg", "refined silver less the refiner's charge"),
    "copper": Assumption(7.5, "USD/kg", "clean wire scrap at a smelter"),
    "encapsulant": Assumption(0.0, "USD/kg", "cross-linked, nobody buys it"),
    "backsheet": Assumption(0.0, "USD/kg", "fluoropolymer laminate, nobody buys it"),
}
ENERGY_USD_PER_J = Assumption(
    0.06 / 3.6e6, "USD/J", "0.06 USD per kWh: what saved energy is worth beside money"
)
FREIGHT_USD_PER_KG_KM = Assumption(0.0002, "USD/(kg km)", "part loads by lorry")
FREIGHT_J_PER_KG_KM = Assumption(1.5e3, "J/(kg km)", "diesel of a lorry, 1.5 MJ per tonne and km")
LANDFILL_KM = Assumption(30.0, "km", "landfills are near")

# How the four dispositions turn out.

RESALE_TEST_USD = Assumption(6.0, "USD", "flash test, insulation test, cleaning and packing")
SECOND_HAND_DISCOUNT = Assumption(
    0.6, "1", "buyers pay less for an old module than its watts and years are worth"
)
REMANUFACTURED_DISCOUNT = Assumption(0.75, "1", "a new warranty wins some of that back")
SALEABLE_POWER_NONE = Assumption(0.55, "1", "share of nameplate power at which nobody buys")
SALEABLE_POWER_ALL = Assumption(0.8, "1", "warranty limit: at this share power is no objection")
FAILED_SALEABLE = Assumption(0.25, "1", "a failed module may pass: a bypass diode, a connector")
CELL_SALEABLE_LOSS = Assumption(0.8, "1", "cracked cells show in the electroluminescence test")
SEAL_SALEABLE_LOSS = Assumption(0.7, "1", "open seals fail the wet insulation test")
REMANUFACTURE_YIELD = Assumption(
    0.92, "1", "sound cells, and still some break on the way; PV_ICE's baseline has no such plants"
)
REMANUFACTURE_GLASS_LOSS = Assumption(0.35, "1", "broken glass takes cells with it")
REMANUFACTURE_CELL_LOSS = Assumption(0.75, "1", "cracked cells break when the laminate opens")
REMANUFACTURE_POWER_GAIN = Assumption(0.2, "1", "share of the lost power that a repair brings back")
REMANUFACTURED_YEARS = Assumption(15.0, "years", "life after remanufacture with sound cells")
REMANUFACTURED_CELL_YEARS = Assumption(8.0, "years", "taken from that when all cells are cracked")
RECOVERED_METALS = {
    "silver": Assumption(1.0, "1", "a plant that opens cells leaches all silver it can"),
    "copper": Assumption(1.0, "1", "ribbons and cables are pulled first"),
}  # targets; the baseline's recyclers crush whole modules and aim at neither
GLASS_CONTAMINATION = Assumption(0.6, "1", "share of broken glass that is too dirty to sell")
