"""Short queries in many languages, as people type them; `|` separates them.

The HELD_OUT ones were written after the identification of languages was finished.
"""

from __future__ import annotations

DEVELOPMENT = {
    "de": (
        "Hund|Katze|rotes Auto|Mann mit Hut|Kuh auf der Wiese|Feuerwehr|Fußball|"
        "tanzende Frau|Sonnenuntergang|Kinder spielen|Regenschirm|altes Haus|Küche|Zug|"
        "Schnee|Baum im Wind|lachendes Baby|Boot|Vögel|Straße bei Nacht|Gitarre spielen|"
        "Pferd|Flugzeug landet|Wasserfall|Frau kocht"
    ),
    "fr": (
        "chien|chat noir|voiture rouge|homme avec chapeau|coucher de soleil|"
        "enfants qui jouent|neige|cuisine|femme qui danse|vélo|cheval blanc|pompiers|"
        "oiseaux|train|plage|jouer de la guitare|bateau à voile|vieille maison|"
        "bébé qui rit|parapluie|feu d'artifice|poisson|rue la nuit|chute d'eau|gâteau"
    ),
    "es": (
        "perro|gato negro|coche rojo|hombre con sombrero|puesta de sol|niños jugando|"
        "nieve|cocina|mujer bailando|bicicleta|caballo|bomberos|pájaros|tren|playa|"
        "tocar la guitarra|barco|casa vieja|bebé riendo|paraguas|fuegos artificiales|pez|"
        "calle de noche|cascada|pastel"
    ),
    "it": (
        "cane|gatto nero|macchina rossa|uomo con cappello|tramonto|bambini che giocano|"
        "neve|cucina|donna che balla|bicicletta|cavallo|pompieri|uccelli|treno|spiaggia|"
        "suonare la chitarra|barca|casa vecchia|ombrello|pesce|strada di notte|cascata|"
        "torta|ragazza che ride|albero"
    ),
    "pt": (
        "cachorro|gato preto|carro vermelho|homem com chapéu|pôr do sol|"
        "crianças brincando|neve|cozinha|mulher dançando|bicicleta|cavalo|bombeiros|"
        "pássaros|trem|praia|tocar violão|barco|casa velha|bebê rindo|guarda-chuva|peixe|"
        "rua à noite|cachoeira|bolo|menino"
    ),
    "nl": (
        "hond|zwarte kat|rode auto|man met hoed|zonsondergang|spelende kinderen|sneeuw|"
        "keuken|dansende vrouw|fiets|paard|brandweer|vogels|trein|strand|gitaar spelen|"
        "zeilboot|oud huis|lachende baby|paraplu|vuurwerk|vis|straat bij nacht|waterval|"
        "taart"
    ),
    "pl": (
        "pies|czarny kot|czerwony samochód|mężczyzna w kapeluszu|zachód słońca|"
        "bawiące się dzieci|śnieg|kuchnia|tańcząca kobieta|rower|koń|straż pożarna|ptaki|"
        "pociąg|plaża|gra na gitarze|łódka|stary dom|śmiejące się dziecko|parasol|ryba|"
        "wodospad|tort|drzewo|dziewczynka"
    ),
    "tr": (
        "köpek|siyah kedi|kırmızı araba|şapkalı adam|gün batımı|oynayan çocuklar|kar|"
        "mutfak|dans eden kadın|bisiklet|at|itfaiye|kuşlar|tren|sahil|gitar çalmak|"
        "yelkenli|eski ev|gülen bebek|şemsiye|balık|şelale|pasta|ağaç|çiçekler"
    ),
    "ru": ("собака|чёрная кошка|красная машина|мужчина в шляпе|закат|снег"),
    "ja": ("犬|黒い猫|赤い車|帽子の男性|夕焼け|ケーキ"),
    "zh": ("狗|黑猫|红色汽车|戴帽子的男人|日落|蛋糕"),
    "ko": ("개|검은 고양이|빨간 자동차|모자를 쓴 남자"),
    "ar": ("كلب|قطة سوداء|سيارة حمراء|غروب الشمس"),
    "th": ("สุนัข|แมวดำ|รถสีแดง"),
}

DEVELOPMENT_UNSUPPORTED = {
    "fi": (
        "koira|musta kissa|punainen auto|mies ja hattu|auringonlasku|lapset leikkivät|"
        "koira juoksee rannalla|lumi"
    ),
    "sv": (
        "hund springer på stranden|svart katt|röd bil|man med hatt|solnedgång|barn som leker|snö"
    ),
    "da": ("en hund løber på stranden|sort kat|rød bil|solnedgang|børn leger"),
    "no": ("en hund løper på stranden|svart katt|rød bil|barn som leker"),
    "cs": ("pes běží po pláži|černá kočka|červené auto|západ slunce|děti si hrají"),
    "hu": ("egy kutya fut a tengerparton|fekete macska|piros autó|naplemente|gyerekek játszanak"),
    "ro": (
        "un câine aleargă pe plajă|pisică neagră|mașină roșie|apus de soare|copii care se joacă"
    ),
    "id": (
        "seekor anjing berlari di pantai|kucing hitam|mobil merah|matahari terbenam|"
        "anak-anak bermain"
    ),
    "vi": ("một con chó chạy trên bãi biển|con mèo đen|xe hơi màu đỏ|hoàng hôn"),
    "el": ("σκύλος|μαύρη γάτα"),
    "he": ("כלב|חתול שחור"),
    "hi": ("कुत्ता|काली बिल्ली"),
    "uk": ("собака біжить по пляжу|чорна кішка"),
    "fa": ("سگ در ساحل می‌دود|گربه سیاه"),
}

DEVELOPMENT_ENGLISH = (
    "dog|cat|red car|man with hat|sunset|children playing|sushi|piano|taxi|hotel|robot|"
    "gorilla|taekwondo|a brwon dog runing|Angela Merkel|Lamborghini|opossum|frisbee|"
    "skateboarder|windsurfing|espresso|croissant|spaghetti|kindergarten|tsunami|karate|"
    "kayak|llama|yoga|ballet|cello|violin|cappuccino|pizza|burrito|taco|panda|koala|"
    "kangaroo|hamster|poodle|dachshund|rottweiler|labrador|chihuahua|hat|hay|boot|rose|"
    "table|orange|train|court|cage|film|place|pen|bin|gift|wand|kind|fast|chat|pain|main|"
    "lit|four|plus|come|dance|rat|tan|fare|people walk|beach|snow falling|waterfall|"
    "guitar|traffic jam|hiking in the alps|Eiffel Tower|Taj Mahal|Paris at night|"
    "La La Land|Rio de Janeiro|San Francisco|Los Angeles|el nino|mona lisa|"
    "Obama speaking|Messi scores|iPhone|YouTube logo|GoPro footage|drone shot|"
    "zebra crossing|bokeh|timelapse|slow motion|close-up of eyes|birdie|snowbord|elefant|"
    "gaffe|ninja|samurai|geisha|origami|matryoshka|balalaika|borscht|kebab|hummus|dolfin|"
    "zqxwv|person, not indoors|no people|car -red|tv|dj set|bbq|hippo|rhino|tuk tuk|"
    "a dog!|who is on the roof?|wok|tattoo|armadillo|macaw|iguana|emu|ox"
)

HELD_OUT = {
    "de": (
        "Schlittschuhlaufen|Mädchen isst Eis|Bahnhof|zwei Männer streiten|"
        "Bauarbeiter mit Helm|Schmetterling|ein Kind auf der Schaukel|Zahnarzt"
    ),
    "fr": (
        "homme qui court|écureuil|marché aux légumes|deux femmes dans un café|avion|"
        "papillon|une fille sur une balançoire|orage"
    ),
    "es": (
        "ardilla|hombre corriendo|mercado de verduras|mariposa|una niña en un columpio|"
        "tormenta|camión amarillo|hoguera"
    ),
    "it": (
        "scoiattolo|uomo che corre|mercato|farfalla|una bambina sull'altalena|temporale|"
        "camion giallo|falò"
    ),
    "pt": (
        "esquilo|homem correndo|feira de legumes|borboleta|uma menina no balanço|"
        "tempestade|caminhão amarelo|fogueira"
    ),
    "nl": (
        "eekhoorn|rennende man|groentemarkt|vlinder|een meisje op een schommel|onweer|"
        "gele vrachtwagen|kampvuur"
    ),
    "pl": (
        "wiewiórka|biegnący mężczyzna|targ warzywny|motyl|dziewczynka na huśtawce|burza|"
        "żółta ciężarówka|ognisko"
    ),
    "tr": (
        "sincap|koşan adam|sebze pazarı|kelebek|salıncakta bir kız|fırtına|sarı kamyon|kamp ateşi"
    ),
    "ru": ("белка|бабочка|гроза"),
    "ja": ("リス|蝶々|走る男"),
    "zh": ("松鼠|蝴蝶|黄色卡车"),
    "ko": ("다람쥐|나비"),
    "ar": ("سنجاب|فراشة"),
    "th": ("กระรอก"),
}

HELD_OUT_UNSUPPORTED = {
    "fi": ("orava|mies juoksee|tyttö keinussa|ukkosmyrsky kaupungissa"),
    "sv": ("ekorre|en flicka på en gunga|gul lastbil"),
    "cs": ("veverka|dívka na houpačce"),
    "hu": ("mókus|egy lány a hintán"),
    "ro": ("veveriță|o fată pe leagăn"),
    "el": ("σκίουρος"),
    "hi": ("तितली"),
    "da": ("en pige på en gynge"),
    "no": ("gutt som spiser is"),
    "id": ("gadis di ayunan"),
}

HELD_OUT_ENGLISH = (
    "squirrel|butterfly|thunderstorm|yellow truck|campfire|girl on a swing|dentist|"
    "ice skating|construction worker|hammock|trampoline|chameleon|jacuzzi|safari|"
    "barista making latte art|zumba class|capoeira|parkour|selfie|paparazzi|graffiti|"
    "mosaic|confetti|gazebo|bonsai|tofu|guacamole|quinoa|ravioli|macaroni|bratwurst|"
    "pretzel|schnitzel|delicatessen|rucksack|Audi|Volkswagen beetle|Mount Fuji|"
    "Notre Dame|Las Vegas strip|Santa Claus|Madrid|Berlin wall|Amazon river|Mario Kart|"
    "Pikachu|a girl eatng ice creem|wite horse runing|motorcylce|umbrela|giraf|penguins|"
    "zookeeper|skydiving|paragliding|hoverboard|x-ray|UFO|4K timelapse|"
    "man wearing kimono|bagpipes|didgeridoo|ukulele|tabla player|sombrero|poncho|sari|"
    "hijab|matador|siesta"
)
