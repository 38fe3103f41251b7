"""A whole configuration for the tests, in the words of the tests' own kinds."""

CORNER = """\
gateway: lg-017-02
timezone: Asia/Shanghai
community: {code: "330383017", zh: 江口社区, en: Jiangkou}
place: {zh: 龙港大道与人民路口, en: Longgang Ave / Renmin Rd, gcj02: [120.55310, 27.57820]}
city: {bounds: [120.4, 27.4, 120.8, 27.7]}
brokers:
  here: {url: mqtt://127.0.0.1:1883}
  city: {url: mqtts://mq.longgang.example:8883, password: {file: secrets/city-mqtt}}
sensors:
  air:
    mqtt: here
    topic: air/{site}/{device}/up
    json: {time: ts, pm25: data.pm2_5, rh: data.hum}
    units: {pm25: ug/m3, rh: "%"}
    every: 60 s
  water:
    mqtt: here
    topic: water/{gauge}
    plain: level
    valid: {level: [-1, 8]}
cameras:
  river:
    detect: rtsp://192.168.10.65/Streaming/Channels/102
    login: {user: zhiwang, password: {file: secrets/cameras}}
    zones: {bank: [[0, .6], [1, .5], [1, 1], [0, 1]]}
rules:
  flood:
    threshold: water.level
    levels: {yellow: 2.80, orange: 3.30, red: 3.80}
    clear_by: 0.10
    for: 30 s
    title: {zh: 河道水位, en: River level}
  dust:
    threshold: air.pm25
    over: mean 10 min
    levels: {blue: 75, yellow: 115}
    unless: air.rh > 95
  bank:
    count: person
    in: river.bank
    levels: {yellow: 1, orange: 5}
    for: 20 s
    active: "19:00-06:00"
    mode: shadow
sinks:
  influx: {v2: https://influx.longgang.example, org: longgang, bucket: sensing, token: {file: secrets/influx}}
  alerts: {mqtt: city}
"""
